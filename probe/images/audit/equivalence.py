"""Whether a difference is certainly too small to matter; without this nothing is "the same"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.errors import DegenerateDataError

Double = npt.NDArray[np.float64]


def equivalence_p(differences: Double, margin: float) -> float:
    """Test whether a mean difference is within a margin, either way.

    Schuirmann's two one-sided t tests: the larger of the p-values against ``mean <= -margin`` and
    against ``mean >= margin``.

    Parameters
    ----------
    differences : ndarray of shape (n,)
        One a subject, at least 2.
    margin : float
        Largest difference that does not matter, in the same unit.

    Returns
    -------
    float
        Small if the mean is certainly within the margin. Where all differences are alike, 0 or 1.

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
    from scipy.stats import ttest_1samp

    if not margin > 0:
        raise ValueError(f"margin is {margin}; needed a positive number, as 0.05")
    if len(differences) < 2:
        raise DegenerateDataError("there is a single subject in both; needed at least 2")
    if float(differences.std(ddof=1)) <= 1e-12:  # rounding: a t test has no scale
        return 0.0 if abs(float(differences.mean())) < margin else 1.0
    above = ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = ttest_1samp(differences, margin, alternative="less").pvalue
    return float(max(above, below))
