"""Cells where attributes meet: shares, the worst cell, what no margin shows, and shifts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from probe.arrays import Codes, Counts
from probe.audit.intersections.information import entropy
from probe.audit.measures import as_pair
from probe.errors import DataError
from probe.stats.confidence_limits import student
from probe.stats.interval import Interval, TestedInterval
from probe.stats.mean import mean_test
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import BOOTSTRAP, Resampling

MIN_EXPECTED = 10
"""Images that a fair model would put into a cell about which anything is claimed; our choice."""


@dataclass(frozen=True)
class Cell:
    """One combination of values, in the images of all subjects."""

    values: tuple[str, ...]
    count: int
    n: int
    """Images in all cells."""
    share: float
    low: float
    """Lower limit of the interval, which holds for all cells of the intersection at once."""
    high: float
    fair: float
    """Share that parity of all combinations would give it."""
    is_small: bool
    """Whether a fair model would put fewer than `MIN_EXPECTED` images here: claim nothing."""

    @property
    def is_missing(self) -> bool:
        """Whether the cell surely has less than its fair share."""
        return not self.is_small and self.high < self.fair


@dataclass(frozen=True)
class Division:
    """Unfairness of an intersection, divided into what each attribute shows and what is hidden."""

    joint: float
    """Divergence of the cells' shares from parity, in nats, corrected by Miller and Madow."""
    marginal: dict[str, float]
    """The same of each attribute alone."""
    hidden: Interval
    """``joint - sum(marginal)``, which no attribute alone shows."""


@dataclass(frozen=True)
class Shift(TestedInterval):
    """How the share of one cell moves, after minus before, on average over subjects."""

    before: float = 0.0
    after: float = 0.0


def count_cells(
    labels: Mapping[str, Iterable[str]], attributes: Mapping[str, Sequence[str]], strata: Codes
) -> tuple[Codes, Counts]:
    """Number the labels of several attributes, one an image, and count them by stratum.

    The codes have the shape (n_images, K), the counts (n_strata, *sizes).
    """
    columns = []
    for name, values in attributes.items():
        if unknown := sorted(set(labels[name]) - set(values)):
            raise DataError(f"labels of {name} hold {unknown}; needed only {list(values)}")
        numbers = {value: number for number, value in enumerate(values)}
        columns.append([numbers[label] for label in labels[name]])
    codes = np.array(columns, dtype=np.int64).T
    sizes = [len(values) for values in attributes.values()]
    counts = np.zeros((int(strata.max()) + 1, *sizes), dtype=np.int64)
    np.add.at(counts, (strata, *codes.T), 1)
    return codes, counts


def measure_cells(counts: Counts, attributes: Mapping[str, Sequence[str]]) -> list[Cell]:
    """Give the share of every combination of values among the images of these subjects.

    The intervals are exact ones at the confidence ``1 - 0.05 / n_cells``, so that all of them hold
    together and the worst may be picked. Images of fixed subjects vary less than the binomial
    that they assume: they are somewhat wide. The counts are those of `count_cells`.
    """
    pooled, n = counts.sum(axis=0).ravel(), int(counts.sum())
    fair, confidence = 1 / len(pooled), 1 - 0.05 / len(pooled)
    cells = []
    for values, count in zip(product(*attributes.values()), pooled.tolist(), strict=True):
        found = binomial_interval(count, n, confidence=confidence)
        is_small = n * fair < MIN_EXPECTED
        cells.append(
            Cell(values, count, n, found.value, found.low, found.high, fair, is_small)
        )  # fmt: skip
    return cells


def worst_cell(cells: Sequence[Cell]) -> Cell | None:
    """Find the cell with the least share, of those that are not small; None if all are."""
    known = [cell for cell in cells if not cell.is_small]
    return min(known, key=lambda cell: cell.share, default=None)


def divide_unfairness(counts: Counts, attributes: Mapping[str, Sequence[str]]) -> Division:
    """Divide the unfairness of an intersection into its attributes' and what is hidden in it.

    For parity, ``KL(joint) = sum_k KL(attribute k) + C`` with the total correlation C: attributes
    that are fair one by one may leave a combination out, and C is by how much. Subjects are
    pooled. C is nearly a squared length, that of the dependence of the attributes, and the
    interval of ``hidden`` is a ball around its root, see `_hidden_limits`; of a single subject it
    has no width. In nats: 0 means parity, ``hidden`` 0 that the attributes alone show everything.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 11; Scheffé, *The
    Analysis of Variance* (1959), section 3.5.
    """
    pooled, names = counts.sum(axis=0), list(attributes)
    joint = _divergence(pooled)
    marginal = {name: _divergence(_margin(pooled, k)) for k, name in enumerate(names)}
    hidden = joint - sum(marginal.values())
    low, high = _hidden_limits(counts) or (hidden, hidden)
    return Division(joint, marginal, Interval(hidden, min(low, hidden), max(high, hidden)))


def cell_shifts(
    before: Counts, after: Counts, *, resampling: Resampling = BOOTSTRAP, unit: str = "subjects"
) -> list[Shift]:
    """Compare the share of every cell between two models on the same subjects.

    ``mean_s(after_s - before_s)`` of a cell's share among the images of subject s, paired over
    subjects as `probe.stats.mean.mean_test` does; of a single subject nothing is known. The counts
    have the shape (n_subjects, n_cells); the p-values are not adjusted.
    """
    shares = [counts / counts.sum(axis=1, keepdims=True) for counts in as_pair(before, after)]
    shifts = []
    for old, new in zip(*(table.T for table in shares), strict=True):
        known = TestedInterval(float(new[0] - old[0]), -1.0, 1.0, unit, 1)
        if len(old) > 1:
            known = mean_test(new - old, bounds=(-1.0, 1.0), resampling=resampling, unit=unit)
        shifts.append(Shift(**vars(known), before=float(old.mean()), after=float(new.mean())))
    return shifts


def _hidden_limits(counts: Counts) -> tuple[float, float] | None:
    """Give the limits of the interval of what an intersection hides; None of a single subject.

    With C the squared length of a vector Z in df dimensions, ``|Z_seen - Z| <= radius`` holds
    ``|Z|`` between ``|Z_seen| - radius`` and ``|Z_seen| + radius``, also where Z is 0 and C's
    standard error is uninformative. The squared radius is F's 95 % point times what scatter adds
    to C on average, the jackknife's bias; where C is beyond that scatter, the radius is at least
    Student's with the jackknife's standard error of the root.
    """
    n_subjects, pooled = len(counts), counts.sum(axis=0)
    left = [pooled - of_subject for of_subject in counts]
    if n_subjects < 2 or not all(table.sum() for table in left):
        return None
    from scipy.special import fdtri

    seen, without = _correlation(pooled), np.array([_correlation(table) for table in left])
    freedom = pooled.size - 1 - sum(size - 1 for size in pooled.shape)
    alone = freedom / (2 * float(pooled.sum()))  # what images add if all subjects are alike
    added = max((n_subjects - 1) * (float(without.mean()) - seen), alone)
    root = math.sqrt(max(seen, 0.0))
    radius = math.sqrt(fdtri(freedom, n_subjects - 1, 0.95) * added)
    if seen > added:
        error = float(without.std()) * math.sqrt(n_subjects - 1) / (2 * root)
        radius = max(radius, student(n_subjects - 1) * error)
    most = float(np.log(pooled.size / max(pooled.shape)))  # all but one attribute known from it
    return max(root - radius, 0.0) ** 2, min((root + radius) ** 2, most)


def _margin(table: Counts, k: int) -> Counts:
    margin: Counts = table.sum(axis=tuple(axis for axis in range(table.ndim) if axis != k))
    return margin


def _divergence(table: Counts) -> float:
    return float(np.log(table.size)) - entropy(table)[1]


def _correlation(table: Counts) -> float:
    """Total correlation of a table as observed, in nats."""
    margins = sum(entropy(_margin(table, k))[0] for k in range(table.ndim))
    return float(margins - entropy(table)[0])
