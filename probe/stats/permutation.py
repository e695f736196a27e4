"""Permutation tests: exact where the splits can be counted, random with an interval elsewhere."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias, get_args

import numpy as np

from probe.arrays import Double, Indices
from probe.stats.resampling import PERMUTATIONS, Resampling, chunks

Alternative = Literal["greater", "less", "two-sided"]

MAX_SUMS = 2**18
"""Subset sums of half the scores up to which a p-value of sums is exact: those of two sets of 18
words, which have 9.1e9 splits."""
MAX_LISTED = 100_000
"""Splits up to which any other p-value is exact: two sets of 9 words have 48,620."""

_Halves: TypeAlias = Sequence[tuple[Double, Double]]
"""Pairs of arrays; every sum of one number from each side of a pair is one to count."""


@dataclass(frozen=True)
class PermutationP:
    """A p-value of a permutation test, with the interval of what drawn permutations leave open."""

    value: float
    """Share of splits at least as extreme as the one observed, which is one of them: never 0."""
    low: float
    """Limits of its 95 % Clopper-Pearson interval; ``value`` itself if the test is exact."""
    high: float
    n_splits: int
    """Number of splits that were counted; all there are, if the test is exact."""
    is_exact: bool


def split_sums_p(
    scores: Double,
    n_first: int,
    *,
    alternative: Alternative = "greater",
    permutations: Resampling = PERMUTATIONS,
    max_sums: int = MAX_SUMS,
) -> PermutationP:
    """Test whether the first ``n_first`` scores have a larger mean than the others.

    The p-value is the share of splits of all scores into two sets of the same sizes whose
    difference of means is at least the observed one. All are counted, without being listed, if
    half the scores have at most ``max_sums`` subset sums: the sums of each half are sorted, and
    for each sum of one half its partners in the other are found by bisection, the square root of
    the work. Otherwise n random splits are drawn, and ``p = (1 + hits) / (1 + n)``.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        The scores of the first set, then those of the second.
    n_first : int
        Size of the first set, from 1 to n - 1.
    alternative : {"greater", "less", "two-sided"}, default="greater"
        What counts as extreme: the first set's mean is larger, smaller, or either.
    permutations : Resampling
        Number of permutations, if not all are counted, and their seed.
    max_sums : int, default=2**18
        Largest number of subset sums to hold for an exact test; 0 always draws.

    Returns
    -------
    PermutationP
        1 means that no split is less extreme.

    References
    ----------
    Horowitz and Sahni, *Computing partitions with applications to the knapsack problem*, JACM 21
    (1974), for halves; Phipson and Smyth, *Permutation p-values should never be zero*, SAGMB 9
    (2010), for the 1s.
    """
    _check_alternative(alternative)
    centered = scores - scores.mean()  # then a split's sum says all: the others have its negative
    n = len(centered)
    if 2 * n_first > n:  # the same test with fewer subsets
        centered, n_first = -centered[::-1], n - n_first
    if alternative == "less":
        centered = -centered
    observed = float(centered[:n_first].sum())
    bound = abs(observed) if alternative == "two-sided" else observed
    bound -= 1e-12 * float(np.abs(centered).sum())  # equal sums are equal although rounded
    if _n_subset_sums(n, n_first, enough=max_sums) <= max_sums:
        count = _count_as_far if alternative == "two-sided" else _count_at_least
        hits = count(_subset_sums(centered, n_first), bound)
        return _exact_p(hits, math.comb(n, n_first))
    hits = 0
    for mask in random_splits(n, n_first, permutations.n, permutations.rng()):
        sums = mask @ centered
        hits += int(((np.abs(sums) if alternative == "two-sided" else sums) >= bound).sum())
    return sampled_p(hits, permutations.n)


def sign_flip_p(
    values: Double,
    *,
    permutations: Resampling = PERMUTATIONS,
    max_sums: int = MAX_SUMS,
) -> PermutationP:
    """Test, two-sided, whether values, shape (n,), lie symmetrically about 0.

    The p-value is the share of the 2^n choices of signs whose sum is at least as far from 0 as
    the observed one: all counted if half the values have at most ``max_sums`` such sums (n <= 36
    by default), as in `split_sums_p`, else drawn. The smallest possible value is ``2 / 2^n``.
    """
    values = values[values != 0.0]  # flipping a zero changes nothing
    bound = abs(float(values.sum())) - 1e-12 * float(np.abs(values).sum())
    n = len(values)
    if 2 ** (n - n // 2) <= max_sums:
        return _exact_p(_count_as_far(_signed_sums(values), bound), 2**n)
    rng, hits = permutations.rng(), 0
    for size in chunks(permutations.n, n):
        signs = 2.0 * rng.integers(2, size=(size, n)) - 1.0
        hits += int((np.abs(signs @ values) >= bound).sum())
    return sampled_p(hits, permutations.n)


def splits_p(
    figure: Callable[[Double, Double], Double],
    codes: Indices,
    n_first: int,
    *,
    alternative: Alternative,
    n_cells: int,
    permutations: Resampling = PERMUTATIONS,
    max_splits: int = MAX_LISTED,
) -> PermutationP:
    """Test any measure of two sets by splitting their clusters anew.

    ``figure`` turns two matrices of shape (n_splits, n), whose rows are the weights of the means
    of the first and of the second set, into the measure of each split, for which it needs
    ``n_cells`` numbers in memory. ``codes`` number the cluster of each of n rows from 0; those
    below ``n_first`` are of the first set. More than ``max_splits`` are drawn, not listed.
    """
    _check_alternative(alternative)
    n = int(codes.max()) + 1
    first = (np.arange(n) < n_first).astype(np.float64)[None, :]
    sign = -1.0 if alternative == "less" else 1.0

    def of_splits(mask: Double) -> Double:
        rows = mask[:, codes]
        sides = (side / side.sum(axis=1, keepdims=True) for side in (rows, 1.0 - rows))
        found = sign * figure(*sides)
        return np.abs(found) if alternative == "two-sided" else found

    observed = float(of_splits(first)[0])
    bound = observed - 1e-9 * abs(observed)  # products of matrices carry more rounding than sums
    n_splits = math.comb(n, n_first)
    is_exact = n_splits <= max_splits
    n_cells += 2 * len(codes)
    masks = (
        _all_splits(n, n_first, n_cells)
        if is_exact
        else random_splits(n, n_first, permutations.n, permutations.rng(), n_cells=n_cells)
    )
    hits = sum(int((of_splits(mask) >= bound).sum()) for mask in masks)
    return _exact_p(hits, n_splits) if is_exact else sampled_p(hits, permutations.n)


def random_splits(
    n: int,
    n_first: int,
    n_permutations: int,
    rng: np.random.Generator,
    *,
    n_cells: int | None = None,
) -> Iterator[Double]:
    """Draw rows of ``n_first`` ones and ``n - n_first`` zeros, in chunks of shape (n_rows, n)."""
    row = (np.arange(n) < n_first).astype(np.float64)
    for size in chunks(n_permutations, n_cells or n):
        mask = np.tile(row, (size, 1))
        yield rng.permuted(mask, axis=1, out=mask)


def sampled_p(hits: int, n_permutations: int) -> PermutationP:
    """Return the p-value of a test that has drawn splits, with its Clopper-Pearson interval."""
    from scipy.stats import binomtest

    known = binomtest(hits, n_permutations).proportion_ci(0.95, method="exact")
    return PermutationP(
        value=(1 + hits) / (1 + n_permutations),
        low=float(known.low),
        high=float(known.high),
        n_splits=n_permutations,
        is_exact=False,
    )


def _exact_p(hits: int, n_splits: int) -> PermutationP:
    """P-value of a test that has counted every split."""
    p = hits / n_splits
    return PermutationP(value=p, low=p, high=p, n_splits=n_splits, is_exact=True)


def _check_alternative(alternative: str) -> None:
    if alternative not in get_args(Alternative):
        raise ValueError(
            f"alternative is {alternative!r}; needed one of {', '.join(get_args(Alternative))}"
        )


def _all_splits(n: int, n_first: int, n_cells: int) -> Iterator[Double]:
    chosen = np.array(list(combinations(range(n), n_first)))  # (n_splits, n_first)
    start = 0
    for size in chunks(len(chosen), n_cells):
        mask = np.zeros((size, n))
        np.put_along_axis(mask, chosen[start : start + size], 1.0, axis=1)
        start += size
        yield mask


def _n_subset_sums(n: int, size: int, *, enough: int) -> int:
    """Count the subsets, up to a size, of the larger half of n values; stop at more than enough."""
    half, found = n - n // 2, 0
    for chosen in range(min(half, size) + 1):
        found += math.comb(half, chosen)
        if found > enough:
            break
    return found


def _subset_sums(values: Double, size: int) -> _Halves:
    """Form the sums of all subsets of exactly ``size`` values."""
    half = len(values) // 2
    left, right = (_sums_by_size(part, size) for part in (values[:half], values[half:]))
    return list(zip(left, reversed(right), strict=True))


def _signed_sums(values: Double) -> _Halves:
    """Form the sums of all values with every choice of signs."""
    half = len(values) // 2
    sums = []
    for part in (values[:half], values[half:]):
        found = np.zeros(1)
        for value in part:
            found = np.concatenate([found - value, found + value])
        sums.append(found)
    return [(sums[0], sums[1])]


def _count_at_least(halves: _Halves, bound: float) -> int:
    """Count the sums that reach a bound."""
    found = 0
    for left, right in halves:
        needed = bound - np.sort(left)[::-1]  # ascending: bisection then stays in the cache
        found += len(left) * len(right) - int(np.searchsorted(np.sort(right), needed).sum())
    return found


def _count_as_far(halves: _Halves, bound: float) -> int:
    """Count the sums that are at least ``bound`` away from 0, on either side."""
    if bound <= 0.0:
        return sum(len(left) * len(right) for left, right in halves)
    negated = [(-left, -right) for left, right in halves]
    return _count_at_least(halves, bound) + _count_at_least(negated, bound)


def _sums_by_size(values: Double, max_size: int) -> list[Double]:
    sums = [np.zeros(1), *(np.empty(0) for _ in range(max_size))]
    for value in values:
        grown = (np.concatenate([sums[k], sums[k - 1] + value]) for k in range(1, max_size + 1))
        sums = [sums[0], *grown]
    return sums
