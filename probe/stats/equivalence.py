"""Whether a difference is certainly too small to matter; without this nothing is "the same"."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double
from probe.errors import DegenerateDataError


def equivalence_p(differences: Double, margin: float, *, others: Double | None = None) -> float:
    """Test whether a mean difference, or the sum of two, is within a margin, either way.

    Schuirmann's two one-sided t tests: the larger of the p-values against ``mean <= -margin`` and
    against ``mean >= margin``.

    Parameters
    ----------
    differences : ndarray of shape (n,)
        One a subject, at least 2.
    margin : float
        Largest difference that does not matter, in the same unit.
    others : ndarray of shape (m,), optional
        Independent numbers, at least 2, whose mean is added to the differences'; the t tests are
        then Welch's.

    Returns
    -------
    float
        Small if the mean is certainly within the margin. Where all differences are alike, 0 or 1.

    Raises
    ------
    ValueError
        If the margin is not positive.
    DegenerateDataError
        If there is a single difference, or other number.

    References
    ----------
    Schuirmann, *A comparison of the two one-sided tests procedure and the power approach*, J.
    Pharmacokinetics and Biopharmaceutics 15 (1987).
    """
    from scipy.stats import ttest_ind_from_stats

    if not margin > 0:
        raise ValueError(f"margin is {margin}; needed a positive number, as 0.05")
    added = np.zeros(2) if others is None else others
    if min(len(differences), len(added)) < 2:
        raise DegenerateDataError("there is a single subject in both; needed at least 2")
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    negative, beside = -float(added.mean()), float(added.std(ddof=1))
    if spread + beside <= 1e-12:  # rounding: a t test has no scale
        return 0.0 if abs(mean - negative) < margin else 1.0

    def p(end: float, alternative: str) -> float:
        """Test a sum, a difference from the negative; where that is 0, Welch's is Student's."""
        samples = mean - end, spread, len(differences), negative, beside, len(added)
        return float(ttest_ind_from_stats(*samples, equal_var=False, alternative=alternative)[1])

    return max(p(-margin, "greater"), p(margin, "less"))
