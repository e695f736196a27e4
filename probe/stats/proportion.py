"""Intervals of proportions, exact for independent rows and for rows in clusters."""

import numpy as np
import numpy.typing as npt

from probe.arrays import Mask
from probe.errors import DataError
from probe.stats.confidence_limits import FEW, exact_limits, student
from probe.stats.interval import Interval
from probe.stats.validation import cluster_sums, ratio_spread


def binomial_interval(n_hits: int, n: int, *, confidence: float = 0.95, unit: str = "") -> Interval:
    """Return the proportion of hits in independent trials with its exact interval.

    Clopper and Pearson's covers the true proportion at least as often as it says, whatever that
    is. Wilson's, which is right on average and shorter, covers one of 0.02 in 10 trials only 86
    times in 100.

    Parameters
    ----------
    n_hits, n : int
        Number of hits, and of trials.
    confidence : float, default=0.95
        Coverage of the interval, between 0 and 1.
    unit : str, optional
        What a trial is, in the plural.

    Returns
    -------
    Interval
        From 0 to 1.

    Raises
    ------
    DataError
        If there is no trial, or the hits are not between 0 and ``n``.
    """
    if n < 1 or not 0 <= n_hits <= n:
        raise DataError(f"{n_hits} hits in {n} trials are no share; needed 0 <= hits <= n, n >= 1")
    low, high = exact_limits(n_hits, n, tail=(1 - confidence) / 2)
    return Interval(n_hits / n, float(low), float(high), unit, n)


def proportion_interval(
    is_hit: Mask, *, clusters: npt.ArrayLike | None = None, unit: str = ""
) -> Interval:
    """Return the proportion of rows that are hits with its 95 % interval.

    For independent rows `binomial_interval`. For rows in clusters the same at the effective
    number of rows of Korn and Graubard: the number n* of independent rows whose proportion would
    vary as much as this one does over clusters, times ``(t_{n-1} / t_{G-1})^2`` of the G clusters,
    and at most n. Where few clusters hold any row of the rarer kind, only these show how much
    clusters vary, and their number plus 3 replaces G - 1 (ours: without it the interval of a
    proportion of 0.97 over 50 clusters covered 93 times in 100). Where fewer than `FEW` do, or all
    rows are alike, nothing shows that clusters of the other kind are not wholly so, and the
    number of trials is at most G: a miss never makes the interval narrower than none.

    Parameters
    ----------
    is_hit : ndarray of bool, shape (n,)
        Which rows are hits.
    clusters : array_like of shape (n,), optional
        Cluster of each row.
    unit : str, optional
        What a cluster, or without clusters a row, is, in the plural.

    Returns
    -------
    Interval
        From 0 to 1; ``n`` counts clusters, or rows without clusters.

    Raises
    ------
    DegenerateDataError
        If all rows are of one cluster.

    References
    ----------
    Korn and Graubard, *Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data*, Survey Methodology 24 (1998).
    """
    if not (n := len(is_hit)):
        raise DataError("there are no rows to take a share of; needed at least 1")
    if clusters is None:
        return binomial_interval(int(np.sum(is_hit)), n, unit=unit)
    share, counted = float(np.mean(is_hit)), float(n)
    sums, sizes = cluster_sums(is_hit, clusters)
    n_clusters = len(sums)
    error2 = float(ratio_spread(sums, sizes, share)) ** 2 / n_clusters
    informative = int((sums < sizes).sum() if share >= 0.5 else (sums > 0).sum())
    few = (student(n - 1) / student(min(n_clusters - 1, informative + 3))) ** 2
    variance = few * share * (1 - share)
    if variance == 0.0:
        counted = float(n_clusters)
    elif variance < n * error2:
        counted = variance / error2
    if informative < FEW:
        counted = min(counted, float(n_clusters))
    low, high = exact_limits(share * counted, counted)
    return Interval(share, float(low), float(high), unit, n_clusters)
