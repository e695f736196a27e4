"""Two sources of pictures of the same subjects: do they differ, by how much, or hardly at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.fairness import paired_difference
from probe.audit.measures import as_target, measure_shares
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError
from probe.stats.equivalence import equivalence_p
from probe.stats.interval import TestedInterval
from probe.stats.resampling import BOOTSTRAP, Resampling


@dataclass(frozen=True)
class SourceDifference(TestedInterval):
    """A fairness figure of a second source minus a first; negative: the second is fairer."""

    effect: float = 0.0
    """Hedges' g of paired differences: the mean in standard deviations over subjects, 0 if all
    subjects differ alike and by nothing."""
    p_equivalent: float = 1.0
    """TOST: small if the mean difference is certainly smaller than the margin, either way."""
    margin: float = 0.0
    """What was taken for no difference, in units of the measure."""

    @property
    def is_equivalent(self) -> bool:
        """Whether the two are equivalent at a level of 5 %; without it nothing is "the same"."""
        return self.p_equivalent < 0.05


@dataclass(frozen=True)
class ShareTest:
    """The share of a value in one subject's pictures, in two sources."""

    subject: str
    first: float
    second: float
    n_first: int
    n_second: int
    p: float
    """McNemar's exact test where pictures are paired by their seeds, else Fisher's exact test."""
    n_pairs: int
    """Pairs of pictures of equal seed; 0 if Fisher's test was taken."""
    effect: float
    """Cohen's h: ``2 asin sqrt(second) - 2 asin sqrt(first)``; 0.2 is small, 0.8 large."""


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
    equivalence test is Schuirmann's, two one-sided t tests of the subjects' differences against
    plus and minus the margin.

    Parameters
    ----------
    first, second : CountTable
        Same subjects and values in the same order; see `align`.
    measure, target, resampling
        As for `paired_difference`.
    margin : float, default=0.05
        Largest difference that does not matter; our choice, say yours before you look.

    Returns
    -------
    SourceDifference

    Raises
    ------
    ValueError
        If the margin is not positive.
    DegenerateDataError
        If there is a single subject.

    References
    ----------
    Schuirmann, *A comparison of the two one-sided tests procedure and the power approach*, J.
    Pharmacokinetics and Biopharmaceutics 15 (1987); Hedges, *Distribution theory for Glass's
    estimator of effect size*, J. Educational Statistics 6 (1981).
    """
    fair, n = as_target(target, first.counts.shape), len(first.subjects)
    rows = _by_subject(second.counts, fair, measure) - _by_subject(first.counts, fair, measure)
    p_equivalent = equivalence_p(rows, margin)
    found = paired_difference(
        first.counts, second.counts, measure=measure, target=target, resampling=resampling
    )
    spread = float(rows.std(ddof=1))
    if spread <= 1e-12:  # rounding: all differ alike, and a t test has no scale
        effect = 0.0 if abs(found.value) <= 1e-12 else math.copysign(math.inf, found.value)
    else:
        effect = found.value / spread * (1 - 3 / (4 * (n - 1) - 1))
    return SourceDifference(**vars(found), effect=effect, p_equivalent=p_equivalent, margin=margin)


def compare_shares(
    first: CountTable,
    second: CountTable,
    value: str,
    *,
    pairs: dict[str, Counts] | None = None,
) -> list[ShareTest]:
    """Test for each subject whether the share of a value differs between two sources.

    Parameters
    ----------
    first, second : CountTable
        Same subjects and values; see `align`.
    value : str
        One of the values; all others count as not it.
    pairs : dict of str to ndarray, optional
        By subject, pictures of equal seed as a table (2, 2), rows the first source; see
        `paired_pictures`.

    Returns
    -------
    list of ShareTest
        One a subject. Adjust the p-values for their number with `probe.holm` or
        `probe.benjamini_hochberg` before any is read.

    Raises
    ------
    DataError
        If there is no such value.
    """
    from scipy.stats import binomtest, fisher_exact

    if value not in first.values:
        raise DataError(f"{first.source} has the values {', '.join(first.values)}, not {value!r}")
    column, found = first.values.index(value), []
    for subject, a, b in zip(first.subjects, first.counts, second.counts, strict=True):
        hits, totals = (int(a[column]), int(b[column])), (int(a.sum()), int(b.sum()))
        table = (pairs or {}).get(subject)
        if table is not None and table.sum():
            gained, lost = int(table[0, 1]), int(table[1, 0])
            p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        else:
            p = fisher_exact([[hits[0], totals[0] - hits[0]], [hits[1], totals[1] - hits[1]]])[1]
        before, after = (hit / total for hit, total in zip(hits, totals, strict=True))
        found.append(
            ShareTest(
                subject=subject,
                first=before,
                second=after,
                n_first=totals[0],
                n_second=totals[1],
                p=float(min(p, 1.0)),
                n_pairs=0 if table is None else int(table.sum()),
                effect=2 * (math.asin(math.sqrt(after)) - math.asin(math.sqrt(before))),
            )
        )
    return found


def align(first: CountTable, second: CountTable) -> tuple[CountTable, CountTable, list[str]]:
    """Keep the subjects that both sources have, in the order of the first.

    Returns
    -------
    first, second : CountTable
        Same subjects, same values in the same order.
    missing : list of str
        Subjects of one source only.

    Raises
    ------
    DataError
        If the values differ, or no subject is in both.
    """
    if set(first.values) != set(second.values):
        raise DataError(
            f"{first.source} has the values {', '.join(first.values)}, {second.source} "
            f"{', '.join(second.values)}; needed the same: name all of them with --values"
        )
    first, second = first.with_pictures(), second.with_pictures()
    place = {name: row for row, name in enumerate(second.subjects)}
    both = [name for name in first.subjects if name in place]
    if not both:
        raise DataError(f"{first.source} and {second.source} have no subject in common")
    rows = {name: row for row, name in enumerate(first.subjects)}
    order = [second.values.index(value) for value in first.values]
    kept = first.rows(np.array([rows[name] for name in both]))
    other = second.rows(np.array([place[name] for name in both]))
    aligned = CountTable(
        other.source,
        other.attribute,
        other.subjects,
        first.values,
        other.counts[:, order],
        other.missing,
        other.notes,
    )
    known = set(both)
    missing = [name for name in (*first.subjects, *second.subjects) if name not in known]
    return kept, aligned, missing


def paired_pictures(
    first: LabelTable, second: LabelTable, attribute: str, value: str
) -> dict[str, Counts]:
    """Pair the pictures of equal subject and seed, and count what both show.

    A seed that a source has twice for a subject makes no pair, nor does a picture without a value.

    Returns
    -------
    dict of str to ndarray of shape (2, 2)
        By subject; row 1 counts pictures of the first source that show the value, column 1 those
        of the second, row and column 0 those that show another. Empty if a source has no seeds.
    """
    if first.seeds is None or second.seeds is None:
        return {}
    sides = [_by_seed(source, source.seeds or [], attribute, value) for source in (first, second)]
    tables: dict[str, Counts] = {}
    for key in sides[0].keys() & sides[1].keys():
        a, b = sides[0][key], sides[1][key]
        if a is not None and b is not None:
            table = tables.setdefault(key[0], np.zeros((2, 2), dtype=np.int64))
            table[int(a), int(b)] += 1
    return tables


def _by_seed(
    source: LabelTable, seeds: Sequence[str], attribute: str, value: str
) -> dict[tuple[str, str], bool | None]:
    found: dict[tuple[str, str], bool | None] = {}
    values, codes = source.values[attribute], source.codes[attribute]
    wanted = values.index(value) if value in values else None
    for row, code, seed in zip(source.rows.tolist(), codes.tolist(), seeds, strict=True):
        key = source.subjects[row], seed
        found[key] = None if code < 0 or key in found else code == wanted
    return found


def _by_subject(counts: Counts, fair: Double, measure: str) -> Double:
    return measure_shares(counts / counts.sum(axis=1, keepdims=True), fair)[measure]
