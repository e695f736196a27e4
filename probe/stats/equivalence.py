"""Whether a difference is certainly too small to matter; without this nothing is "the same"."""

import numpy as np

from probe.arrays import Double
from probe.errors import DegenerateDataError
from probe.stats.mean import degenerate_test


def equivalence_p(
    differences: Double,
    margin: float,
    *,
    others: Double | None = None,
    bounds: tuple[float, float] | None = None,
) -> float:
    """Test whether a mean difference, or the sum of two, is within a margin, either way.

    Schuirmann's two one-sided t tests: the larger of the p-values against ``mean <= -margin`` and
    against ``mean >= margin``. It is never below ``2^-n``, the p-value of the sign test that all n
    differences lie within the margin: two subjects in which nothing differs prove nothing, and
    where all differences are alike a t test has no scale.

    Parameters
    ----------
    differences : ndarray of shape (n,)
        One a subject, at least 2.
    margin : float
        Largest difference that does not matter, in the same unit.
    others : ndarray of shape (m,), optional
        Independent numbers, at least 2, whose mean is added to the differences'; the t tests are
        then Welch's.
    bounds : (float, float), optional
        Smallest and largest value that a difference can have. Where all are alike, p is then that
        of `probe.stats.mean.degenerate_test`, so that it agrees with the interval of the mean.

    Returns
    -------
    float
        Small if the mean is certainly within the margin. With fewer than 5 differences it cannot
        be below 0.05.

    Raises
    ------
    ValueError
        If the margin is not positive.
    DegenerateDataError
        If there is a single difference.

    References
    ----------
    Schuirmann, *A comparison of the two one-sided tests procedure and the power approach*, J.
    Pharmacokinetics and Biopharmaceutics 15 (1987).
    """
    negated = None if others is None else -others
    mirrored = None if bounds is None else (-bounds[1], -bounds[0])
    return max(
        noninferiority_p(differences, margin, others=others, bounds=bounds),
        noninferiority_p(-differences, margin, others=negated, bounds=mirrored),
    )


def noninferiority_p(
    differences: Double,
    margin: float,
    *,
    others: Double | None = None,
    bounds: tuple[float, float] | None = None,
) -> float:
    """Test whether a mean difference is certainly not below minus the margin.

    The one-sided t test against ``mean <= -margin``, never below ``2^-n``; the parameters are those
    of `equivalence_p`, which is the larger one of two such tests.
    """
    from scipy.stats import ttest_ind_from_stats

    if not margin > 0:
        raise ValueError(f"margin is {margin}; needed a positive number, as 0.05")
    added = np.zeros(2) if others is None else others
    if min(len(differences), len(added)) < 2:
        raise DegenerateDataError("there is a single subject in both; needed at least 2")
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    negative, beside = -float(added.mean()), float(added.std(ddof=1))
    n = len(differences) if others is None else min(len(differences), len(others))
    smallest = 0.5**n
    if spread + beside <= 1e-12:  # rounding: a t test has no scale
        if not mean - negative > -margin:
            return 1.0
        if bounds is None:
            return smallest
        return degenerate_test(mean, n, bounds, null=max(-margin, bounds[0])).p / 2
    # a sum, as a difference from the negative; where that is 0, Welch's test is Student's
    samples = mean + margin, spread, len(differences), negative, beside, len(added)
    found = ttest_ind_from_stats(*samples, equal_var=False, alternative="greater")
    return max(smallest, float(found[1]))
