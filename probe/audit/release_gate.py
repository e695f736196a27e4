"""The release gate: bounds on figures, tested by the confidence limit on the side of the bound."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from probe.audit.measures import MEASURES
from probe.errors import DataError, OptionError
from probe.io.escaping import printable
from probe.io.files import LARGEST, atomic, one_line, parse_json, read_whole
from probe.io.lines import nearest
from probe.io.toml_tables import TomlTable
from probe.stats.notation import bracketed, counted, number

Found = Mapping[str, Any]

ABOVE, BELOW = "fail_above", "fail_below"
_KEYS = {"value", "low", "high"}
_SIDE = "corrected"  # in a run, what a figure without a side is about: it is what is released


@dataclass(frozen=True)
class Bound:
    """A figure and the number that it may not pass."""

    figure: str
    """Its place in the figures, e.g. ``mad``, ``test.mad`` or ``base.fd``."""
    limit: float
    side: str = ABOVE
    """`ABOVE`: fails if the upper confidence limit is larger. `BELOW`: if the lower is smaller."""

    @classmethod
    def parse(cls, text: str, side: str = ABOVE) -> Bound:
        """Read ``mad=0.15``; anything else is an `OptionError`."""
        figure, _, limit = text.partition("=")
        try:
            return cls(figure.strip(), _number(limit), side)
        except ValueError:
            raise OptionError(
                f"the bound is {text!r}; needed a figure and a number, as in mad=0.15"
            ) from None


@dataclass(frozen=True)
class Verdict:
    """Whether a figure keeps within a bound."""

    figure: str
    """Where the figure was found."""
    side: str
    limit: float
    value: float
    low: float
    high: float
    worst: float
    """The confidence limit on the side of the bound, moved by what missing labels could change."""
    is_kept: bool
    n_missing: int = 0
    """Images without a label."""
    unit: str = ""
    """What the interval is over, if the figure says it, and ``n``, how many of them."""
    n: int = 0

    def line(self) -> str:
        """One line: kept or not, and by which number."""
        limit, needed = ("upper", "at most") if self.side == ABOVE else ("lower", "at least")
        over = f" over {self.n} {self.unit}" if self.n else ""
        missing = ""
        if self.n_missing:
            missing = f", whatever the {counted(self.n_missing, 'images')} without a label show,"
        return (
            f"{'kept' if self.is_kept else 'FAILED'}: {self.figure} = "
            f"{bracketed(self.value, self.low, self.high)}{over}; the {limit} limit{missing} is "
            f"{number(self.worst)}, needed {needed} {self.limit:g}"
        )


def read_policy(path: Path) -> list[Bound]:
    """Read bounds from a TOML file with the tables ``[fail_above]`` and ``[fail_below]``.

    Each entry is a figure and a number; a figure with points in its name stands in quotes
    (``"test.mad" = 0.2``), or in a table of its own (``[fail_above.test]``).
    """
    policy = TomlTable.read(path, "policy")
    policy.refuse_unknown((ABOVE, BELOW))
    bounds = [
        Bound(figure, limit, side)
        for side in policy.data
        for figure, limit in _limits(policy.table(side))
    ]
    if not bounds:
        raise DataError(f"{path} holds no bound; needed one, as in [{ABOVE}] mad = 0.15")
    return bounds


def read_figures(path: Path) -> Found:
    """Read what ``audit --json`` or ``evaluate --json`` printed; ``-`` is standard input."""
    try:
        found = parse_json(sys.stdin.buffer.read(LARGEST) if str(path) == "-" else read_whole(path))
    except (OSError, ValueError) as error:
        found = one_line(error)
    if not isinstance(found, dict):
        why = f" ({found})" if isinstance(found, str) else ""
        raise DataError(
            f"{path} holds no figures{why}; needed the output of `moesd-probe audit --json`, or "
            "a run"
        )
    return found


def check_names(bounds: Sequence[Bound], known: Sequence[str]) -> None:
    """Refuse a figure whose name does not end like any that is measured, before any work."""
    for bound in bounds:
        if (name := bound.figure.rpartition(".")[2]) not in known:
            raise OptionError(
                f"there is no figure {bound.figure!r}{nearest(name, known)}; known are "
                f"{', '.join(known)}"
            )


def check_bounds(found: Found, bounds: Sequence[Bound]) -> list[Verdict]:
    """Check figures against bounds, in their order.

    ``found`` is what ``evaluate --json`` or ``audit --json`` prints. In a run a figure without a
    side is that of the corrected model; of groups, every one is checked. A fairness
    measure is decided by its worst case: its confidence limit is moved by as much as the images
    without a label could change the figure. `OptionError` if there is no such figure, it has no
    interval, or labels are missing and nothing bounds what they could change.
    """
    if "groups" in found:
        return [
            replace(verdict, figure=f"{group['group']}: {verdict.figure}")
            for group in found["groups"]
            for verdict in check_bounds(group, bounds)
        ]
    return [_check(found, bound) for bound in bounds]


def write_junit(path: Path, verdicts: Sequence[Verdict], *, source: str) -> None:
    """Write verdicts as the JUnit XML that continuous integration reads, one test case a bound."""
    n_failed = sum(not verdict.is_kept for verdict in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(n_failed), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "moesd-probe check", **counts})
    for verdict in verdicts:
        name = f"{verdict.figure} {verdict.side} {verdict.limit:g}"
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": printable(source), "name": printable(name)}
        )
        if not verdict.is_kept:
            details = {"message": printable(verdict.line()), "type": verdict.side}
            ElementTree.SubElement(case, "failure", details)
        else:
            ElementTree.SubElement(case, "system-out").text = printable(verdict.line())
    ElementTree.indent(root)
    with atomic(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _check(found: Found, bound: Bound) -> Verdict:
    places = (bound.figure, f"{_SIDE}.{bound.figure}", f"failures.{bound.figure}")
    name = next((place for place in places if _at(found, place) is not None), bound.figure)
    if (figure := _at(found, name)) is None:
        known = sorted(_names(found))
        raise OptionError(
            f"there is no figure {name!r}{nearest(name, known)}; known are {', '.join(known[:40])}"
        )
    try:
        value, low, high = (float(figure[key]) for key in ("value", "low", "high"))
        extremes, n_missing = _missing_labels(found, name)
        unit, n = str(figure.get("unit", "")), int(figure.get("n", 0))
    except OptionError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the figure {name!r} is damaged ({error!r}); needed the output of `moesd-probe audit "
            "--json`, or a run"
        ) from error
    if bound.side == ABOVE:
        worst = high + max(0.0, extremes.get("high", value) - value)
        worst = min(worst, max(high, extremes.get("most", worst)))
        is_kept = worst <= bound.limit
    else:
        worst = max(min(low, 0.0), low - max(0.0, value - extremes.get("low", value)))
        is_kept = worst >= bound.limit
    return Verdict(
        name, bound.side, bound.limit, value, low, high, worst, is_kept, n_missing, unit, n
    )


def _missing_labels(found: Found, name: str) -> tuple[Found, int]:
    """What a fairness measure could be, whatever the images without a label show; their number."""
    *above, measure = name.split(".")
    if measure not in MEASURES:
        return {}, 0
    here = _inside(found, above)
    if "bounds" in here:  # an audit has the bounds beside the figure, a run has them by side
        missing, bounds = here.get("missing", {}), here["bounds"]
    else:
        missing = found.get("missing", {})
        missing = missing.get(above[0], missing) if above else missing
        bounds = _inside(missing.get("bounds", {}), above[1:])
    n_missing = int(missing.get("total", 0))
    if n_missing and measure not in bounds:
        raise OptionError(
            f"{n_missing} images have no label, and nothing bounds what {name} would be with them; "
            "use a figure with bounds, as mad, or label them"
        )
    return (bounds[measure], n_missing) if n_missing else ({}, 0)


def _inside(found: Any, path: Sequence[str]) -> Found:
    for part in path:
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _at(found: Found, name: str) -> Found | None:
    """The figure at a place such as ``corrected.test.mad``; None if there is none."""
    here = _inside(found, name.split("."))
    is_figure = all(isinstance(here.get(key), int | float) for key in _KEYS)
    return here if is_figure else None


def _names(found: Found, above: str = "") -> Iterator[str]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            place = f"{above}{name}"
            if value.keys() >= _KEYS:
                yield place
            else:
                yield from _names(value, f"{place}.")


def _limits(table: TomlTable, above: str = "") -> Iterator[tuple[str, float]]:
    for name, limit in table.data.items():
        if isinstance(limit, dict):
            yield from _limits(table.table(name), f"{above}{name}.")
        else:
            yield f"{above}{name}", table.number(name)


def _number(limit: str) -> float:
    number = float(limit)
    if not math.isfinite(number):
        raise ValueError(limit)
    return number
