"""What `benchmarks/interval_coverage.py` simulates, a family of intervals a file."""

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


class Tally:
    """Count how often an interval, and the standard one beside it, cover the truth; and widths."""

    def __init__(self) -> None:
        self._covered: list[tuple[bool, bool]] = []
        self._widths: list[tuple[float, float]] = []

    def add(self, found: Ends, standard: tuple[float, float], truth: float) -> None:
        """Add the intervals of one trial."""
        both = (found.low, found.high), standard
        self._covered.append(tuple(low <= truth <= high for low, high in both))
        self._widths.append(tuple(high - low for low, high in both))

    def row(self, interval: str, n: int, setting: str) -> dict[str, Any]:
        """Return the line of the result, with mean widths."""
        covered, standard = np.mean(self._covered, axis=0)
        width, usual = (float(f"{of:.3g}") for of in np.mean(self._widths, axis=0))
        more = {"width": width, "standard": round(standard, 3), "standard_width": usual}
        return row(interval, n, setting, covered, **more)
