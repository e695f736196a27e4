"""What `benchmarks/coverage.py` simulates, a family of intervals a file."""

from __future__ import annotations

from typing import Any

N = (10, 50, 200)
"""Pictures of a subject, or whatever else an interval is of."""


def row(interval: str, n: int, setting: str, coverage: float, **more: Any) -> dict[str, Any]:
    """A line of the result."""
    found = {"interval": interval, "n": n, "setting": setting, "coverage": round(coverage, 3)}
    return {**found, **more}
