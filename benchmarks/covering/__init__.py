"""What `benchmarks/coverage.py` simulates, a family of intervals a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

N = (10, 50, 200)
"""Pictures of a subject, or whatever else an interval is of."""


class Ends(Protocol):
    """A figure and the ends of its interval."""

    low: float
    value: float
    high: float


def held(found: Sequence[Ends]) -> float:
    """Share of intervals that hold what the figure is on average, which they are of."""
    expected = float(np.mean([of.value for of in found]))
    return float(np.mean([of.low <= expected <= of.high for of in found]))


def row(interval: str, n: int, setting: str, coverage: float, **more: Any) -> dict[str, Any]:
    """A line of the result."""
    found = {"interval": interval, "n": n, "setting": setting, "coverage": round(coverage, 3)}
    return {**found, **more}
