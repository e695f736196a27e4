"""A source beside another one: differences over subjects, subject by subject, and equivalence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from probe.audit.comparison import align, compare_figures, compare_shares, paired_pictures
from probe.audit.measures import MEASURES
from probe.audit.readers.targets import parse_target
from probe.audit.sources import Source
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DegenerateDataError
from probe.stats.resampling import BOOTSTRAP, Resampling


def compare_sources(
    first: Source,
    second: Source,
    *,
    attribute: str,
    target: str,
    value: str | None = None,
    margin: float = 0.05,
    resampling: Resampling = BOOTSTRAP,
) -> dict[str, Any]:
    """Compare two sources over the subjects that both have.

    Parameters
    ----------
    first, second : CountTable or LabelTable
        Where both have seeds, pictures of equal seed are compared with each other.
    attribute : str
        Which one, where the sources are labels.
    target : str
        As `probe.audit.readers.targets.parse_target` reads it.
    value : str, optional
        The value whose share is tested subject by subject; the first one if not given.
    margin : float
        Largest difference that does not matter.
    resampling : Resampling

    Returns
    -------
    dict
        ``difference`` by measure, second minus first; ``subjects`` with p-values as they are, by
        Holm and by Benjamini and Hochberg; ``missing``.

    Raises
    ------
    DataError
        If the sources have no subject in common, or different values.
    """
    from probe.stats.multiplicity import benjamini_hochberg, holm

    a, b, missing = align(*(_counted(source, attribute) for source in (first, second)))
    fair = parse_target(target, subjects=a.subjects, values=a.values)
    chosen = value or a.values[0]
    pairs = None
    if isinstance(first, LabelTable) and isinstance(second, LabelTable):
        pairs = paired_pictures(first, second, attribute, chosen)
    tests = compare_shares(a, b, chosen, pairs=pairs)
    p = np.array([test.p for test in tests])
    rows = [
        {**asdict(test), "p_holm": float(by_holm), "p_bh": float(by_bh)}
        for test, by_holm, by_bh in zip(tests, holm(p), benjamini_hochberg(p), strict=True)
    ]
    difference = {}
    for name in MEASURES:
        found = compare_figures(
            a, b, measure=name, margin=margin, target=fair, resampling=resampling
        )
        if abs(found.effect) == float("inf"):
            raise DegenerateDataError(
                f"{name} differs by {found.value:.3g} in every subject, so nothing says how firmly"
            )
        difference[name] = asdict(found)
    return {
        "source": b.source,
        "value": chosen,
        "difference": difference,
        "subjects": rows,
        "missing": missing,
    }


def _counted(source: Source, attribute: str) -> CountTable:
    return source if isinstance(source, CountTable) else source.count(attribute)
