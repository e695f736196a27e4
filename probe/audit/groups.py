"""Groups of one source, each audited on its own, and pairs of them compared."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np

from probe.audit.audit import Audit, AuditSettings, Found, audit_source
from probe.audit.comparison import align, compare_figures, compare_shares, signatures
from probe.audit.readers.shares import parse_target
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError, DegenerateDataError
from probe.io.lines import is_number
from probe.stats.confidence_limits import jackknife_half
from probe.stats.multiplicity import holm
from probe.stats.share_shift import fit_share_shift, smoothed_shares

MAX_GROUPS = 30


def audit_groups(
    source: LabelTable,
    settings: AuditSettings,
    *,
    attribute: str | None = None,
    margin: float = 0.05,
    along: str | None = None,
) -> tuple[dict[str, Audit], list[Found]]:
    """Audit each group of a source, and compare MAD of every pair over their common subjects.

    Each pair with at least 2 common subjects has ``first``, ``second``, the fields of
    `probe.audit.comparison.SourceDifference` (second minus first), ``p_holm``, adjusted for all
    pairs, and `probe.audit.comparison.signatures`. If the last column that groups, ``along``, is of
    numbers, groups that differ in it only are a ``series``, each ``at`` a number; only the lowest
    of a series is compared with the others of it, and these pairs have a `measure_shift`.
    """
    groups = source.split()
    if not 2 <= len(groups) <= MAX_GROUPS:
        raise DataError(
            f"{source.source} has {len(groups)} groups ({'; '.join(list(groups)[:3])}); needed 2 "
            f"to {MAX_GROUPS}: name other columns with --by, or choose rows with --where"
        )
    places = _places(source.source, groups, along) if along else {}
    audits = {}
    for name in places or groups:
        alone = replace(groups[name], notes=())
        audits[name] = audit_source(alone, settings, attribute=attribute)
        audits[name].found.update(places.get(name, {}))
    counted = {of: group.count(audits[of].found["attribute"]) for of, group in groups.items()}
    pairs, names = [], list(combinations(audits, 2))
    if along:  # the first of a series with each other one
        lowest = {of["series"]: name for name, of in reversed(places.items())}
        names = [pair for pair in names if pair[0] == lowest[places[pair[1]]["series"]]]
    for first, second in names:
        tables = [counted[first], counted[second]]
        subjects = [set(table.with_images().subjects) for table in tables]
        if len(set.intersection(*subjects)) > 1:
            a, b, _ = align(*tables)
            target = parse_target(settings.target, subjects=a.subjects, values=a.values)
            resampling = settings.resampling.for_tests(len(names))
            compared = compare_figures(a, b, margin=margin, target=target, resampling=resampling)
            value = settings.value or a.values[0]
            failed = signatures(compare_shares(a, b, value), a, value, target=target)
            pair = {"first": first, "second": second, **asdict(compared), "signatures": failed}
            pairs.append(pair | ({"shift": measure_shift(a, b)} if along else {}))
    adjusted = holm(np.array([pair["p"] for pair in pairs])) if pairs else np.zeros(0)
    return audits, [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, adjusted, strict=True)]


def measure_shift(first: CountTable, second: CountTable) -> Found | None:
    """Fit the shift of shares from one aligned table to another; see `probe.stats.share_shift`.

    ``slope`` has the jackknife's interval over subjects. Mean absolute errors of the shares are
    ``error`` (fit to the same counts), ``error_left_out`` (each subject by the fit to the others)
    and ``error_unchanged``. None of fewer than 4 subjects, or if most have equal shares.
    """
    shares, n = smoothed_shares(first.counts), len(first.subjects)
    seen = second.counts / second.counts.sum(axis=1, keepdims=True)
    kept = [np.delete(np.arange(n), row) for row in range(n if n > 3 else 0)]
    fits = []
    with suppress(DegenerateDataError):
        fits = [fit_share_shift(shares[rows], second.counts[rows]) for rows in kept]
    if not fits:
        return None
    shift = fit_share_shift(shares, second.counts)
    half = jackknife_half(np.array([fit.slope for fit in fits]))
    left_out = np.concatenate([fit.apply(shares[[row]]) for row, fit in enumerate(fits)])
    return {
        "slope": {"value": shift.slope, "low": shift.slope - half, "high": shift.slope + half},
        "intercepts": list(shift.intercepts),
        "error": float(np.abs(shift.apply(shares) - seen).mean()),
        "error_left_out": float(np.abs(left_out - seen).mean()),
        "error_unchanged": float(np.abs(shares - seen).mean()),
    }


def _places(source: str, groups: Iterable[str], along: str) -> dict[str, Found]:
    """``series`` and number, ``at``, of each group, in the order of both."""
    parts = {name: name.rpartition(", ")[::2] for name in groups}
    for _, text in parts.values():
        if not is_number(text):
            raise DataError(f"{source}: {along} is {text!r}; --along needs a column of numbers")
    order = [series for series, _ in parts.values()]
    names = sorted(parts, key=lambda name: (order.index(parts[name][0]), float(parts[name][1])))
    return {name: {"series": parts[name][0], "at": float(parts[name][1])} for name in names}
