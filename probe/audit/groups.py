"""Groups of one source, each audited on its own, and pairs of them compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np

from probe.audit.audit import Audit, AuditSettings, audit_source
from probe.audit.comparison import align, compare_figures, compare_subjects
from probe.audit.readers.shares import parse_target
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError, DegenerateDataError
from probe.io.lines import is_number
from probe.stats.confidence_limits import jackknife_half
from probe.stats.multiplicity import holm
from probe.stats.share_shift import ShareShift, fit_share_shift, smoothed_shares

MAX_GROUPS = 30


def audit_groups(
    source: LabelTable,
    settings: AuditSettings,
    *,
    attribute: str | None = None,
    margin: float = 0.05,
    along: str | None = None,
) -> tuple[dict[str, Audit], list[dict[str, Any]]]:
    """Audit each group of a source, and compare MAD of every pair over their common subjects.

    Each pair with at least 2 common subjects has ``first``, ``second``, the fields of
    `probe.audit.comparison.SourceDifference` (second minus first), ``p_holm``, adjusted for all
    pairs, and the ``signatures`` of `probe.audit.failures.signatures`.

    ``along`` is the last of the grouping columns, whose values are numbers, such as a guidance
    scale. Groups that differ in it only are a ``series``, each at the number ``at``; compared is
    the lowest of each series with the others of it, and these pairs have the ``shift`` of
    `measure_shift`.
    """
    groups = source.split()
    if not 2 <= len(groups) <= MAX_GROUPS:
        raise DataError(
            f"{source.source} has {len(groups)} groups ({'; '.join(list(groups)[:3])}); needed 2 "
            f"to {MAX_GROUPS}: name other columns with --by, or choose rows with --where"
        )
    places = _places(source.source, groups, along) if along else {}
    audits = {
        name: audit_source(replace(groups[name], notes=()), settings, attribute=attribute)
        for name in places or groups
    }
    for name, (series, at) in places.items():
        found = {"series": series, "at": at, **audits[name].found}
        audits[name] = replace(audits[name], found=found)
    counted = {of: group.count(audits[of].found["attribute"]) for of, group in groups.items()}
    pairs, names = [], _pairs(places) if along else list(combinations(groups, 2))
    for first, second in names:
        tables = [counted[first], counted[second]]
        subjects = [set(table.with_images().subjects) for table in tables]
        if len(set.intersection(*subjects)) > 1:
            a, b, _ = align(*tables)
            target = parse_target(settings.target, subjects=a.subjects, values=a.values)
            resampling = settings.resampling.for_tests(len(names))
            compared = compare_figures(a, b, margin=margin, target=target, resampling=resampling)
            tested = compare_subjects(a, b, settings.value or a.values[0], target=target)
            pair = {"first": first, "second": second, **asdict(compared)}
            shift = {"shift": measure_shift(a, b)} if along else {}
            pairs.append(pair | {"signatures": tested["signatures"]} | shift)
    adjusted = holm(np.array([pair["p"] for pair in pairs])) if pairs else np.zeros(0)
    return audits, [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, adjusted, strict=True)]


def measure_shift(first: CountTable, second: CountTable) -> dict[str, Any] | None:
    """Fit how shares change from one aligned table to another: a line on the log-odds.

    See `probe.stats.share_shift`. ``slope`` has the interval of the jackknife over subjects; 1
    means that odds are multiplied alike. The mean absolute errors of the predicted shares are
    ``error`` (fitted to the same counts), ``error_left_out`` (each subject by the fit to the
    others) and ``error_unchanged`` (the shares of the first table). None if there are fewer than
    4 subjects, or too many are alike for a slope.
    """
    shares, n = smoothed_shares(first.counts), len(first.subjects)
    seen = second.counts / second.counts.sum(axis=1, keepdims=True)
    try:
        fits = [
            fit_share_shift(np.delete(shares, row, axis=0), np.delete(second.counts, row, axis=0))
            for row in range(n if n > 3 else 0)
        ]
    except DegenerateDataError:
        fits = []
    if not fits:
        return None
    shift = fit_share_shift(shares, second.counts)
    left_out = np.concatenate([fit.apply(shares[[row]]) for row, fit in enumerate(fits)])
    half = jackknife_half(np.array([fit.slope for fit in fits]))
    predicted = {
        "": shift.apply(shares),
        "_left_out": left_out,
        "_unchanged": ShareShift().apply(shares),
    }
    return {
        "slope": {"value": shift.slope, "low": shift.slope - half, "high": shift.slope + half},
        "intercepts": list(shift.intercepts),
        "values": first.values,
        **{f"error{name}": float(np.abs(of - seen).mean()) for name, of in predicted.items()},
    }


def _places(source: str, groups: Iterable[str], along: str) -> dict[str, tuple[str, float]]:
    """Series and number of each group, in the order of both."""
    places = {}
    for name in groups:
        series, _, text = name.rpartition(", ")
        if not is_number(text):
            raise DataError(f"{source}: {along} is {text!r}; --along needs a column of numbers")
        places[name] = (series, float(text))
    order = list(dict.fromkeys(series for series, _ in places.values()))
    return dict(sorted(places.items(), key=lambda item: (order.index(item[1][0]), item[1][1])))


def _pairs(places: dict[str, tuple[str, float]]) -> list[tuple[str, str]]:
    """The first group of each series with each other one."""
    lowest: dict[str, str] = {}
    for name, (series, _) in places.items():
        lowest.setdefault(series, name)
    return [(lowest[of], name) for name, (of, _) in places.items() if lowest[of] != name]
