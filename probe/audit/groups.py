"""Groups of one source, each audited on its own, and every pair of them compared."""

from __future__ import annotations

from collections.abc import Mapping
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
    source: LabelTable, settings: AuditSettings, *, attribute: str | None = None
) -> Mapping[str, Audit]:
    """Audit each group of a source on its own, by the group's name."""
    groups = source.split()
    if not 2 <= len(groups) <= MAX_GROUPS:
        raise DataError(
            f"{source.source} has {len(groups)} groups ({'; '.join(list(groups)[:3])}); needed 2 "
            f"to {MAX_GROUPS}: name other columns with --by, or choose rows with --where"
        )
    return {
        name: audit_source(replace(group, notes=()), settings, attribute=attribute)
        for name, group in groups.items()
    }


def compare_groups(
    source: LabelTable, audits: Mapping[str, Audit], settings: AuditSettings, *, margin: float
) -> list[dict[str, Any]]:
    """Compare MAD of every pair of groups over the subjects that both have, second minus first.

    Each entry has ``first``, ``second``, the fields of
    `probe.audit.comparison.SourceDifference` and ``p_holm``, adjusted for all pairs. Pairs with
    fewer than 2 common subjects are left out.
    """
    attribute = next(iter(audits.values())).found["attribute"]
    tables = {name: of.count(attribute).with_images() for name, of in source.split().items()}
    names, pairs = list(combinations(tables, 2)), []
    for first, second in names:
        if len(set(tables[first].subjects) & set(tables[second].subjects)) > 1:
            a, b, _ = align(tables[first], tables[second])
            found = compare_figures(
                a,
                b,
                margin=margin,
                target=parse_target(settings.target, subjects=a.subjects, values=a.values),
                resampling=settings.resampling.for_tests(len(names)),
            )
            pairs.append({"first": first, "second": second, **asdict(found)})
    adjusted = holm(np.array([pair["p"] for pair in pairs])) if pairs else np.zeros(0)
    return [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, adjusted, strict=True)]
