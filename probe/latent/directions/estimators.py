"""Other estimators of a bias axis, oriented like the pair direction, and their registry."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Mask
from probe.errors import DegenerateDataError
from probe.latent.directions import AxisEstimator, PairDirection
from probe.latent.directions.covariance import choose_shrinkage, solve_covariance


class PrincipalDirection(AxisEstimator):
    """Take the first principal component of the pair differences as the bias axis.

    Every pair is centred at its own mean, and the axis is the direction in which what is left
    varies most: the first right singular vector of the matrix of differences. Unlike their mean,
    it also reflects pairs whose differences point the opposite way.

    References
    ----------
    Bolukbasi et al., *Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word
    Embeddings*, NeurIPS 2016, section 5.1.
    """

    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        differences = male - female
        n_pairs, n_features = differences.shape
        # the leading vector of the smaller of the two Gram matrices
        if n_pairs < n_features:
            axis = differences.T @ np.linalg.eigh(differences @ differences.T)[1][:, -1]
        else:
            axis = np.linalg.eigh(differences.T @ differences)[1][:, -1]
        axis /= np.linalg.norm(axis)
        if abs(side := float(difference @ axis)) <= floor:
            raise DegenerateDataError(
                f"the first component of {n_pairs} pair differences is at a right angle to their "
                "mean, so neither side is male; needed differences that agree: use the pair "
                "direction, or check that the sides of some pairs are not swapped"
            )
        oriented: Double = axis * np.sign(side)
        return oriented


class DiscriminantDirection(AxisEstimator):
    """Take Fisher's linear discriminant of the two groups as the bias axis.

    The unit vector of ``S_w^-1 (mean of male - mean of female)``, where S_w is the covariance
    within the groups: directions that vary for other reasons count less. Which rows are pairs
    does not matter.

    Parameters
    ----------
    shrinkage : float or None, default=None
        Share s of ``(1 - s) S_w + s mu I``, mu being the mean variance, from 0 to 1. None takes
        Ledoit and Wolf's estimate, and at least one part in the number of prompts, whether or not
        there are more prompts than dimensions: prompts are made from few words and templates, so
        that some directions hardly vary, and without shrinkage these alone would make the axis.

    Attributes
    ----------
    shrinkage_ : float
        The share that was used.

    References
    ----------
    Fisher, *The use of multiple measurements in taxonomic problems*, Annals of Eugenics 7 (1936).
    """

    def __init__(self, *, shrinkage: float | None = None) -> None:
        self.shrinkage = shrinkage

    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        within = np.concatenate([male - male.mean(axis=0), female - female.mean(axis=0)])
        self.shrinkage_ = choose_shrinkage(within, self.shrinkage)
        axis = solve_covariance(within, difference[:, None], shrinkage=self.shrinkage_)[:, 0]
        if not axis.any():
            raise DegenerateDataError(
                "the groups differ only where neither varies, so the covariance has no inverse "
                "there; needed more pairs, or a shrinkage above 0"
            )
        return axis


class LogisticDirection(AxisEstimator):
    """Take the weights of a logistic regression of the group as the bias axis.

    The rows are centred and divided by one number, their standard deviation over all features,
    so that neither the place nor the scale of the space matters; the penalty is ``||w||^2 / 2C``.
    It is needed: where there are fewer prompts than dimensions the groups can always be
    separated, and without it the weights would grow without limit.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty; the smaller, the nearer the axis is to the mean
        difference.

    """

    def __init__(self, *, C: float = 1.0) -> None:
        self.C = C

    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        is_male = np.arange(2 * len(male)) < len(male)
        return fit_logistic(np.concatenate([male, female]), is_male, C=self.C)[0]


def fit_logistic(
    rows: Double, is_member: Mask, *, C: float, n_features: int | None = None
) -> tuple[Double, Double]:
    """Fit a logistic regression of a group, in which both groups weigh the same.

    Rows of shape (n, n_coordinates) are centred and divided by their standard deviation over all
    features. ``n_features`` is the width of the space, if the rows are given in fewer coordinates.
    Returns the weights (n_coordinates,), which point to the members, and each row's log odds (n,).
    """
    if not 0.0 < C < np.inf:
        raise ValueError(f"C is {C}; needed a positive number")
    from sklearn.linear_model import LogisticRegression

    centered = rows - rows.mean(axis=0)
    scaled = centered / np.sqrt((centered**2).sum() / (len(rows) * (n_features or rows.shape[1])))
    # Newton's method reaches the optimum to rounding, which the first-order solvers do not
    model = LogisticRegression(
        C=C, solver="newton-cholesky", tol=1e-8, class_weight="balanced"
    ).fit(scaled, is_member)
    return model.coef_[0], model.decision_function(scaled)


ESTIMATORS: dict[str, type[AxisEstimator]] = {
    "pairs": PairDirection,
    "pca": PrincipalDirection,
    "lda": DiscriminantDirection,
    "logistic": LogisticDirection,
}
"""Every estimator of a bias axis by its short name; all fit with their defaults."""
