"""Comparison of two sources over the subjects that both have: differences and equivalence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.failures import is_skewed, share_of_subjects, turn_p
from probe.audit.fairness import paired_difference
from probe.audit.measures import MEASURES, as_target, measure_shares
from probe.audit.missing_label_bounds import bound_difference, bound_figures
from probe.audit.readers.shares import parse_target
from probe.audit.sources import Source
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError
from probe.stats.equivalence import equivalence_p
from probe.stats.interval import TestedInterval
from probe.stats.multiplicity import holm
from probe.stats.resampling import BOOTSTRAP, Resampling

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SourceDifference(TestedInterval):
    """A fairness figure of a second source minus a first; negative: the second is fairer."""

    p_equivalent: float = 1.0
    """Small if the mean difference is certainly within the margin, either way."""
    margin: float = 0.0
    """Largest difference that does not matter, in units of the measure."""


@dataclass(frozen=True)
class ShareTest:
    """The share of a value in one subject's images, in two sources."""

    subject: str
    first: float
    second: float
    n_first: int
    n_second: int
    p: float
    """McNemar's exact test where images are paired by their seeds, else Fisher's exact test."""
    n_pairs: int
    """Pairs of images of equal seed; 0 if Fisher's test was taken."""
    p_holm: float = 1.0
    """p, adjusted for the number of subjects."""


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

    ``difference`` holds every measure, second minus first; ``subjects`` a test of each subject's
    share of a value (the first one if not given), with its p-value as it is and by Holm;
    ``signatures`` who changed sides, moved away or did not move (`signatures`);
    ``missing`` the subjects of one source only; ``n_missing`` the images of the second source
    without a value, ``bounds`` what its measures could be with them, and ``notes`` what its reader
    must know. Where both are labels with seeds, images of equal seed are compared with each other.
    """
    a, b, missing = align(*(_counted(source, attribute) for source in (first, second)))
    fair = parse_target(target, subjects=a.subjects, values=a.values)
    chosen = value or a.values[0]
    pairs = None
    if isinstance(first, LabelTable) and isinstance(second, LabelTable):
        pairs = paired_images(first, second, attribute, chosen)
    tests = compare_shares(a, b, chosen, pairs=pairs)
    difference = {
        name: compare_figures(a, b, measure=name, margin=margin, target=fair, resampling=resampling)
        for name in MEASURES
    }
    bounds = [bound_figures(side.counts, side.n_missing, target=fair) for side in (a, b)]
    n_missing = [int(side.n_missing.sum()) for side in (a, b)]
    return {
        "source": b.source,
        "value": chosen,
        "difference": {
            **{name: asdict(found) for name, found in difference.items()},
            "bounds": {name: bound_difference(*(of[name] for of in bounds)) for name in MEASURES},
            "missing": {"total": sum(n_missing)},
        },
        "n_missing": n_missing[1],
        "bounds": bounds[1],
        "subjects": [asdict(test) for test in tests],
        "signatures": signatures(tests, a, chosen, target=fair),
        "missing": missing,
        "notes": list(b.notes),
    }


def compare_figures(
    first: CountTable,
    second: CountTable,
    *,
    measure: str = "mad",
    margin: float = 0.05,
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
) -> SourceDifference:
    """Compare the fairness of two sources over the same subjects, and test for equivalence.

    Difference, interval and p-value are those of `probe.audit.fairness.paired_difference`; the
    test for equivalence is `probe.stats.equivalence.equivalence_p` of the subjects' differences.
    Choose the margin before you look at the result.
    """
    fair = as_target(target, first.counts.shape)
    before, after = (
        measure_shares(of.counts / of.counts.sum(axis=1, keepdims=True), fair)[measure]
        for of in (first, second)
    )
    found = paired_difference(
        first.counts, second.counts, measure=measure, target=target, resampling=resampling
    )
    return SourceDifference(
        **vars(found), p_equivalent=equivalence_p(after - before, margin), margin=margin
    )


def compare_shares(
    first: CountTable,
    second: CountTable,
    value: str,
    *,
    pairs: dict[str, Counts] | None = None,
) -> list[ShareTest]:
    """Test for each subject whether the share of a value differs between two aligned sources.

    ``pairs`` are the tables of `paired_images`.
    """
    from scipy.stats import binomtest, fisher_exact

    if value not in first.values:
        raise DataError(f"{first.source} has the values {', '.join(first.values)}, not {value!r}")
    column, found = first.values.index(value), []
    for subject, a, b in zip(first.subjects, first.counts, second.counts, strict=True):
        hits, totals = (int(a[column]), int(b[column])), (int(a.sum()), int(b.sum()))
        table = (pairs or {}).get(subject)
        if table is not None:
            gained, lost = int(table[0, 1]), int(table[1, 0])
            p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        else:
            p = fisher_exact([[hits[0], totals[0] - hits[0]], [hits[1], totals[1] - hits[1]]])[1]
        n_pairs = 0 if table is None else int(table.sum())
        shares = hits[0] / totals[0], hits[1] / totals[1]
        found.append(ShareTest(subject, *shares, *totals, float(min(p, 1.0)), n_pairs))
    adjusted = holm(np.array([test.p for test in found]))
    return [replace(test, p_holm=float(p)) for test, p in zip(found, adjusted, strict=True)]


def signatures(
    tests: Sequence[ShareTest], table: CountTable, value: str, *, target: Double | None
) -> dict[str, dict[str, Any]]:
    """Find who failed from a first source, ``table``, to a second, by `compare_shares` of both.

    ``turned``: to the other side of the target (`probe.audit.failures.turn_p`); ``further`` from it
    than before (Fisher's exact test; if on the other side, of the first share mirrored at it);
    ``unmoved``: skewed at first (`probe.audit.failures.is_skewed`), without a change that is shown.
    5 %, Holm. Each has the share of such subjects, for ``unmoved`` of the skewed ones, with its
    interval, and their names.
    """
    from scipy.stats import fisher_exact

    fair = as_target(target, table.counts.shape)[:, table.values.index(value)]
    n = np.array([[of.n_first, of.n_second] for of in tests]).T
    away = np.array([[of.first, of.second] for of in tests]).T - fair  # (2, n_subjects)
    hits = np.round((away + fair) * n).astype(int)
    mirrored = np.clip(np.round((fair - away[0]) * n[0]), 0, n[0]).astype(int)
    first = np.where(away[0] * away[1] < 0, mirrored, hits[0])
    cells = np.stack([first, n[0] - first, hits[1], n[1] - hits[1]], axis=1).reshape(-1, 2, 2)
    p_further = holm(np.array([fisher_exact(of)[1] for of in cells]))
    everyone, p_changed = np.arange(len(tests)), np.array([of.p_holm for of in tests])
    kinds = {
        "turned": (everyone, holm(turn_p(hits[0], hits[1], n[0], n[1], fair)) <= 0.05),
        "further": (everyone, (p_further <= 0.05) & (np.abs(away[1]) > np.abs(away[0]))),
        "unmoved": (np.flatnonzero(is_skewed(hits[0], n[0], fair)), p_changed > 0.05),
    }
    return {
        name: share_of_subjects(is_so[rows])
        | {"subjects": [tests[row].subject for row in rows.tolist() if is_so[row]]}
        for name, (rows, is_so) in kinds.items()
    }


def align(first: CountTable, second: CountTable) -> tuple[CountTable, CountTable, list[str]]:
    """Keep the subjects that both sources have, in the order of the first; values likewise.

    Also returned are the subjects of one source only.
    """
    if set(first.values) != set(second.values):
        raise DataError(
            f"{first.source} has the values {', '.join(first.values)}, {second.source} "
            f"{', '.join(second.values)}; needed the same: name all of them with "
            "--values, or rename some with --map"
        )
    first, second = first.with_images(), second.with_images()
    places = [{name: row for row, name in enumerate(of.subjects)} for of in (first, second)]
    both = [name for name in first.subjects if name in places[1]]
    if not both:
        raise DataError(f"{first.source} and {second.source} have no subject in common")
    kept, other = (
        table.rows(np.array([place[name] for name in both]))
        for table, place in zip((first, second), places, strict=True)
    )
    order = [other.values.index(value) for value in kept.values]
    other = replace(other, values=kept.values, counts=other.counts[:, order])
    known = set(both)
    missing = [name for name in (*first.subjects, *second.subjects) if name not in known]
    return kept, other, missing


def paired_images(
    first: LabelTable, second: LabelTable, attribute: str, value: str
) -> dict[str, Counts]:
    """Pair the images of equal subject and seed, and count what both show.

    A seed that a source has twice for a subject makes no pair, nor does an image without a value.
    By subject with pairs: a table (2, 2), whose row 1 counts images of the first source that show
    the value, and column 1 those of the second.
    """
    if first.seeds is None or second.seeds is None:
        return {}
    sides = [_by_seed(source, attribute, value) for source in (first, second)]
    pairs = sides[0].merge(sides[1], on=["subject", "seed"])
    codes = 2 * pairs["shows_x"] + pairs["shows_y"]
    return {
        str(subject): np.bincount(of, minlength=4).reshape(2, 2)
        for subject, of in codes.groupby(pairs["subject"])
    }


def _by_seed(source: LabelTable, attribute: str, value: str) -> pd.DataFrame:
    """One row an image with a value and a seed of its own: whether it shows the value."""
    import pandas as pd

    codes, values = source.codes[attribute], source.values[attribute]
    table = pd.DataFrame(
        {
            "subject": np.array(source.subjects, dtype=object)[source.rows],
            "seed": source.seeds,
            "shows": (codes == values.index(value)).astype(int) if value in values else 0,
        }
    )
    is_unique = ~table.duplicated(["subject", "seed"], keep=False)
    return table[is_unique & (codes >= 0)]


def _counted(source: Source, attribute: str) -> CountTable:
    return source if isinstance(source, CountTable) else source.count(attribute)
