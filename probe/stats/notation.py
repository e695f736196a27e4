"""How numbers, intervals and p-values are written in text for people, everywhere."""

import math
from collections.abc import Mapping
from typing import Any, Literal

Scale = Literal["", "%", "points"]
_SMALLEST = 1e-12  # below it a result is rounding error
_MOST_DIGITS = 6


def number(value: float, digits: int = 3) -> str:
    """Write a number with a true minus sign; a number that is rounded to 0 has no sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def percent(value: float, digits: int = 1) -> str:
    """Write a share, 0 to 1, as a percentage."""
    return f"{number(100 * value, digits)}\N{NO-BREAK SPACE}%"


def counted(n: int, noun: str) -> str:
    """Write a number of things by the plural of their noun: ``1 image``, ``1,200 images``."""
    return f"{n:,} {noun.removesuffix('s') if n == 1 else noun}"


def p_value(value: float) -> str:
    """Write ``p = 0.040``, and ``p < 0.001`` below that."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def interval(found: Mapping[str, Any] | None, digits: int | None = None, scale: Scale = "") -> str:
    """Write ``value [low, high]`` of a mapping with these keys, as `bracketed`; empty if None."""
    if found is None:
        return ""
    return bracketed(found["value"], found["low"], found["high"], digits=digits, scale=scale)


def bracketed(
    value: float, low: float, high: float, *, digits: int | None = None, scale: Scale = ""
) -> str:
    """Write ``value [low, high]``.

    Parameters
    ----------
    value, low, high : float
        An estimate and its confidence limits.
    digits : int, optional
        Decimals; 3 by default, 1 of percentages and 0 of points. If all of the interval would be
        rounded to nothing, it gets two significant digits, in powers of ten below 1e-5; if to one
        number, its width gets two.
    scale : {"", "%", "points"}
        ``"%"`` writes shares as percentages; ``"points"`` writes a difference of shares in
        percentage points, with its sign.
    """
    if digits is None:
        digits = {"": 3, "%": 1, "points": 0}[scale]
    if scale:
        first, *limits = (number(100 * of, digits) for of in (value, low, high))
        sign = "+" if scale == "points" and first.strip("0.") and value > 0 else ""
        unit = "\N{NO-BREAK SPACE}%" if scale == "%" else ""
        return f"{sign}{first}{unit} [{', '.join(limits)}]"
    largest = max(abs(value), abs(low), abs(high))
    if _SMALLEST < largest < 10.0 ** (1 - digits):
        digits = math.ceil(-math.log10(largest)) + 1
    elif high - low > _SMALLEST and number(low, digits) == number(high, digits):
        digits = min(math.ceil(-math.log10(high - low)) + 1, _MOST_DIGITS)
    write = number if digits <= _MOST_DIGITS else _scientific
    first, *limits = (write(float(of), digits) for of in (value, low, high))
    return f"{first} [{', '.join(limits)}]"


def over(found: Mapping[str, Any]) -> str:
    """Write what an interval treats as independent, e.g. ``40 occupations``; empty if unknown."""
    if not found.get("unit") or "n" not in found:
        return ""
    return counted(found["n"], found["unit"])


def _scientific(value: float, _digits: int) -> str:
    return "0" if value == 0 else f"{value:.1e}".replace("-", "\N{MINUS SIGN}")
