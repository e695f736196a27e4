"""Groups of one source, each audited on its own, and every pair of them compared."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np

from probe.audit.audit import Audit, AuditSettings, audit_source
from probe.audit.comparison import align, compare_figures
from probe.audit.readers.shares import parse_target
from probe.audit.tables import LabelTable
from probe.errors import DataError
from probe.stats.multiplicity import holm

MAX_GROUPS = 30


def audit_groups(
    source: LabelTable,
    settings: AuditSettings,
    *,
    attribute: str | None = None,
    margin: float = 0.05,
) -> tuple[dict[str, Audit], list[dict[str, Any]]]:
    """Audit each group of a source, and compare MAD of every pair over their common subjects.

    Each pair with at least 2 common subjects has ``first``, ``second``, the fields of
    `probe.audit.comparison.SourceDifference` (second minus first) and ``p_holm``, adjusted for all
    pairs.
    """
    groups = source.split()
    if not 2 <= len(groups) <= MAX_GROUPS:
        raise DataError(
            f"{source.source} has {len(groups)} groups ({'; '.join(list(groups)[:3])}); needed 2 "
            f"to {MAX_GROUPS}: name other columns with --by, or choose rows with --where"
        )
    audits = {
        name: audit_source(replace(group, notes=()), settings, attribute=attribute)
        for name, group in groups.items()
    }
    counted = {of: group.count(audits[of].found["attribute"]) for of, group in groups.items()}
    pairs, names = [], list(combinations(groups, 2))
    for first, second in names:
        tables = [counted[first], counted[second]]
        subjects = [set(table.with_images().subjects) for table in tables]
        if len(set.intersection(*subjects)) > 1:
            a, b, _ = align(*tables)
            found = compare_figures(
                a,
                b,
                margin=margin,
                target=parse_target(settings.target, subjects=a.subjects, values=a.values),
                resampling=settings.resampling.for_tests(len(names)),
            )
            pairs.append({"first": first, "second": second, **asdict(found)})
    adjusted = holm(np.array([pair["p"] for pair in pairs])) if pairs else np.zeros(0)
    return audits, [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, adjusted, strict=True)]
