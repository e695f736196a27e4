"""How the page and the card write numbers: as journals do, with true minus signs."""

from __future__ import annotations

import math
from collections.abc import Mapping


def number(value: float, digits: int = 3) -> str:
    """Write a number with a true minus sign; a zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def percent(value: float, digits: int = 1) -> str:
    """Write a share as a percentage."""
    return f"{number(100 * value, digits)}\N{NO-BREAK SPACE}%"


def interval(figure: Mapping[str, float], digits: int = 3) -> str:
    """Write ``value [low, high]``."""
    value, low, high = (number(figure[key], digits) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def fine_interval(figure: Mapping[str, float], digits: int = 3) -> str:
    """Write ``value [low, high]``, with more digits where all of it would be rounded to nothing."""
    largest = max(abs(figure[key]) for key in ("value", "low", "high"))
    if 0 < largest < 10.0 ** (1 - digits):
        digits = math.ceil(-math.log10(largest)) + 1
    return interval(figure, digits)


def percent_interval(figure: Mapping[str, float], digits: int = 1) -> str:
    """Write ``value % [low, high]``."""
    low, high = (number(100 * figure[key], digits) for key in ("low", "high"))
    return f"{percent(figure['value'], digits)} [{low}, {high}]"


def points_interval(figure: Mapping[str, float]) -> str:
    """Write a change of a share, ``+value [low, high]``, in percentage points."""
    value, low, high = (number(100 * figure[key], 0) for key in ("value", "low", "high"))
    sign = "+" if figure["value"] > 0 and value != "0" else ""
    return f"{sign}{value} [{low}, {high}]"


def p_value(value: float) -> str:
    """Write a p-value as journals do."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
