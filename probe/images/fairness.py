"""Fairness of pictures: counts of an attribute's values -> figures, intervals, comparisons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from probe.errors import DataError, ShapeError
from probe.images.measures import (
    MEASURES,
    Counts,
    Double,
    as_counts,
    as_target,
    count_labels,
    measure_shares,
    noise_floor,
)

__all__ = [
    "MEASURES",
    "FairnessFigure",
    "Interval",
    "PairedDifference",
    "centered_interval",
    "count_labels",
    "fairness_figures",
    "noise_floor",
    "paired_difference",
    "share_interval",
    "sign_flip_p",
]

_COVERAGE = (0.025, 0.975)
_CELLS = 2_000_000  # drawn numbers held at once, 16 MB: bounds memory, not the result


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class FairnessFigure:
    """A fairness figure, its 95 % interval, and what a fair model would score."""

    value: float
    """0 means perfectly fair; compare with ``floor``, not with 0."""
    low: float
    high: float
    floor: float
    """Expected value for a perfectly fair model at the same numbers of images."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference of a fairness figure between two models on the same subjects."""

    value: float
    """Second model minus first; negative means that the second is fairer."""
    low: float
    """Lower end of the 95 % bootstrap interval."""
    high: float
    """Upper end of the 95 % bootstrap interval."""
    p: float
    """Two-sided p-value of the sign-flip permutation test."""


def fairness_figures(
    counts: Counts,
    *,
    target: Double | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> dict[str, FairnessFigure]:
    """Measure how far the pictures of subjects are from a fair mix of an attribute's values.

    Each measure of `probe.images.measures.measure_shares`, averaged over the subjects.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
        Number of pictures of each subject in which each value was seen; K is at least 2.
    target : ndarray of shape (K,) or (n_subjects, K), optional
        Fair shares, positive and of sum 1; one row for all or one for each subject.
    n_bootstrap : int, default=2000
        Number of bootstrap samples.
    seed : int, default=0
        Seed of the bootstrap and of the simulated floors.

    Returns
    -------
    dict of str to FairnessFigure
        Keys are `MEASURES`. 0 means that the shares of every subject are the target; a fair model
        scores ``floor``, because a finite number of pictures is never an exact mix.

    Raises
    ------
    ShapeError, DataError
        If ``counts`` is no table of counts, or a subject has no picture.
    ValueError
        If the target is not positive or does not sum to 1, or ``n_bootstrap`` is below 1.

    Notes
    -----
    The bootstrap has two levels: subjects are drawn with replacement, then the pictures of each
    from its own shares. The second draw adds its own sampling noise to shares that are noisy
    already, and all five measures are convex in the shares, so the replicates lie too high, by up
    to half the figure for a fair model. They are therefore moved so that their mean is the
    figure. What the interval covers is the figure that subjects like these have at these numbers
    of pictures; it is somewhat wide for few pictures a subject. A subject all of whose pictures
    are alike has no spread to draw from.

    Few subjects look less spread than they are. What the draw of subjects alone contributes to the
    distance of each end is therefore stretched by ``sqrt(S / (S - 1)) t_{S-1} / z``, as Student's
    interval of a mean is: by 4 % for 40 subjects, by 22 % for 10; the rest is added in squares.
    Without it, 10 subjects of 200 pictures are covered 90 times in 100 only; see
    ``benchmarks/coverage.py``.
    """
    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    totals = counts.sum(axis=1)
    rows = measure_shares(counts / totals[:, None], fair)
    [(draws, of_subjects)] = _bootstrap([counts], fair, n_bootstrap, np.random.default_rng(seed))
    floors = _mean_floor(totals, fair, seed)
    # All measures are convex in the shares: none is larger than where one value has all of them.
    corners = measure_shares(np.eye(counts.shape[1])[:, None, :], fair)
    figures = {}
    for name in MEASURES:
        found = centered_interval(
            float(rows[name].mean()), draws[name], of_subjects[name], n_subjects=len(counts)
        )
        figures[name] = FairnessFigure(
            value=found.value,
            low=max(0.0, found.low),
            high=min(found.high, float(corners[name].max(axis=0).mean())),
            floor=floors[name],
        )
    return figures


def paired_difference(
    counts_a: Counts,
    counts_b: Counts,
    *,
    measure: str = "mad",
    target: Double | None = None,
    n_bootstrap: int = 2000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Compare the fairness of two models on the same subjects.

    ``mean_s(f(b_s) - f(a_s))``. The p-value is that of a permutation test that swaps the two
    models within subjects, i.e. flips the signs of the differences: exact if there are at most
    ``n_permutations`` ways to flip them, else ``(1 + hits) / (1 + n_permutations)`` of random
    ones. The interval is the two-level bootstrap of `fairness_figures`, with the same subjects
    drawn for both models.

    Parameters
    ----------
    counts_a, counts_b : ndarray of int, shape (n_subjects, K)
        Counts of the first and the second model; row i of both is the same subject. Unequal
        numbers of pictures make the noise floors unequal, and so the comparison unfair.
    measure : str, default="mad"
        One of `MEASURES`.
    target, n_bootstrap, seed
        As in `fairness_figures`.
    n_permutations : int, default=10000
        Largest number of sign flips to try.

    Returns
    -------
    PairedDifference
        In units of the measure. 0 means equally fair, negative that the second model is fairer.

    Raises
    ------
    ShapeError, DataError
        If the counts are no tables of counts of the same shape.
    ValueError
        If an option is out of range.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure is {measure!r}; needed one of {', '.join(MEASURES)}")
    counts_a, counts_b = as_counts(counts_a), as_counts(counts_b)
    if counts_a.shape != counts_b.shape:
        raise ShapeError(
            f"the counts have the shapes {counts_a.shape} and {counts_b.shape}; needed the same "
            "subjects and values in both"
        )
    if n_permutations < 1:
        raise ValueError(f"n_permutations is {n_permutations}; needed at least 1")
    fair = as_target(target, counts_a.shape)
    rng = np.random.default_rng(seed)
    rows_a, rows_b = (
        measure_shares(counts / counts.sum(axis=1, keepdims=True), fair)[measure]
        for counts in (counts_a, counts_b)
    )
    both = _bootstrap([counts_a, counts_b], fair, n_bootstrap, rng)
    change, of_subjects = (
        after[measure] - before[measure] for before, after in zip(*both, strict=True)
    )
    found = centered_interval(
        float((rows_b - rows_a).mean()), change, of_subjects, n_subjects=len(counts_a)
    )
    return PairedDifference(
        value=found.value,
        low=found.low,
        high=found.high,
        p=sign_flip_p(rows_b - rows_a, n_permutations, rng),
    )


def share_interval(n_hits: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Give a share with its Wilson score interval, which holds up at 0, at 1 and for small n.

    Parameters
    ----------
    n_hits, n : int
        Number of hits, and of trials.
    confidence : float, default=0.95
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Interval
        From 0 to 1.

    Raises
    ------
    DataError
        If there is no trial, or the hits are not between 0 and ``n``.
    ValueError
        If ``confidence`` is not between 0 and 1.

    References
    ----------
    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; needed a number between 0 and 1")
    if n < 1 or not 0 <= n_hits <= n:
        raise DataError(f"{n_hits} hits in {n} trials are no share; needed 0 <= hits <= n, n >= 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = n_hits / n
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # the ends are exactly 0 and 1 there; rounding must not leave the share outside
    low = 0.0 if n_hits == 0 else center - half
    high = 1.0 if n_hits == n else center + half
    return Interval(value=share, low=low, high=high)


def sign_flip_p(differences: Double, n_permutations: int, rng: np.random.Generator) -> float:
    """Test whether differences are zero on average, by flipping their signs.

    Two-sided: the share of ways to flip in which the sum is as large. Exact if there are at most
    ``n_permutations`` ways, else ``(1 + hits) / (1 + n_permutations)`` of random ones.

    Parameters
    ----------
    differences : ndarray of shape (n,)
        One a subject.
    n_permutations : int
        Largest number of sign flips to try.
    rng : Generator
        Draws the random flips.

    Returns
    -------
    float
        P-value; 1 if all differences are zero.
    """
    moved = differences[differences != 0.0]  # flipping a zero changes nothing
    observed = abs(moved.sum()) * (1 - 1e-12)  # equal sums must count as equal when rounded
    if 2 ** len(moved) <= n_permutations:
        flips = (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1
        return float((np.abs((1 - 2 * flips) @ moved) >= observed).mean())
    hits = 0
    chunk = max(1, _CELLS // len(moved))
    for start in range(0, n_permutations, chunk):
        flips = rng.integers(2, size=(min(chunk, n_permutations - start), len(moved)))
        hits += int((np.abs((1 - 2 * flips) @ moved) >= observed).sum())
    return (1 + hits) / (1 + n_permutations)


def centered_interval(
    value: float, draws: Double, of_subjects: Double, *, n_subjects: int
) -> Interval:
    """Put the quantiles of bootstrap draws around a figure, as `fairness_figures` describes it.

    Parameters
    ----------
    value : float
        The figure.
    draws, of_subjects : ndarray of shape (n_bootstrap,)
        The figure of each replicate, and what the drawn subjects alone contribute to it.
    n_subjects : int
        Number of subjects, by which their part is stretched.
    """
    both, alone = (
        np.abs(np.quantile(found, _COVERAGE) - found.mean()) for found in (draws, of_subjects)
    )
    low, high = np.sqrt(np.maximum(both, alone) ** 2 + (_stretch(n_subjects) ** 2 - 1) * alone**2)
    return Interval(value=value, low=float(value - low), high=float(value + high))


def _bootstrap(
    tables: list[Counts], fair: Double, n_bootstrap: int, rng: np.random.Generator
) -> list[tuple[dict[str, Double], dict[str, Double]]]:
    """Redraw subjects, the same for all tables, then their pictures; one mean a replicate.

    For each table the means with pictures drawn anew, and those of the drawn subjects alone.
    """
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; needed at least 1")
    n_subjects, n_values = fair.shape
    totals = [table.sum(axis=1) for table in tables]
    shares = [table / total[:, None] for table, total in zip(tables, totals, strict=True)]
    plain = [measure_shares(share, fair) for share in shares]
    draws: list[dict[str, list[Double]]] = [{name: [] for name in MEASURES} for _ in tables]
    of_subjects: list[dict[str, list[Double]]] = [{name: [] for name in MEASURES} for _ in tables]
    chunk = max(1, _CELLS // (n_subjects * n_values))
    for start in range(0, n_bootstrap, chunk):
        size = min(chunk, n_bootstrap - start)
        rows = rng.integers(n_subjects, size=(size, n_subjects))
        for table in range(len(tables)):
            n = totals[table][rows]
            drawn = rng.multinomial(n, shares[table][rows])  # (size, n_subjects, n_values)
            for name, found in measure_shares(drawn / n[..., None], fair[rows]).items():
                draws[table][name].append(found.mean(axis=1))
                of_subjects[table][name].append(plain[table][name][rows].mean(axis=1))
    joined = [
        [{name: np.concatenate(parts) for name, parts in of.items()} for of in kind]
        for kind in (draws, of_subjects)
    ]
    return list(zip(*joined, strict=True))


def _mean_floor(totals: Counts, fair: Double, seed: int) -> dict[str, float]:
    """Average the floor over subjects; those alike in number and target share one."""
    kinds, n_alike = np.unique(np.column_stack([totals, fair]), axis=0, return_counts=True)
    floors = [noise_floor(int(n), len(row), target=row, seed=seed) for n, *row in kinds.tolist()]
    return {
        name: float(np.average([floor[name] for floor in floors], weights=n_alike))
        for name in MEASURES
    }


def _stretch(n_subjects: int) -> float:
    if n_subjects < 2:
        return 1.0  # a single subject: only its pictures are drawn anew
    from scipy.special import stdtrit

    student = float(stdtrit(n_subjects - 1, _COVERAGE[1]))
    normal = NormalDist().inv_cdf(_COVERAGE[1])
    return math.sqrt(n_subjects / (n_subjects - 1)) * student / normal
