"""An estimate with its 95 % confidence interval, its unit of observation and their number."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Interval:
    """An estimate and the limits of its 95 % confidence interval."""

    value: float
    low: float
    high: float
    unit: str = ""
    """What was treated as independent, in the plural: "occupations", "prompts"."""
    n: int = 0
    """Number of independent units; 0 if it was not given."""

    def columns(self, name: str) -> dict[str, float]:
        """Return value and limits as the table columns ``name``, ``name_low``, ``name_high``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def clipped(self, low: float, high: float) -> Self:
        """Return the interval inside the range that the estimand cannot leave."""
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low))


@dataclass(frozen=True)
class TestedInterval(Interval):
    """An interval with the p-value of the test that it inverts."""

    p: float = 1.0
    """Two-sided p-value of the null value: up to 0.05 just where the interval excludes it."""

    __test__ = False  # no test class of pytest


def joined_limits(found: Interval, other: Interval) -> Interval:
    """Widen an interval by a second, independent uncertainty of the estimate: in squares."""
    below = math.hypot(found.value - found.low, other.value - other.low)
    above = math.hypot(found.high - found.value, other.high - other.value)
    return Interval(found.value, found.value - below, found.value + above, found.unit, found.n)
