"""Other estimators of a bias axis, oriented like the pair direction, and their registry."""

import numpy as np

from probe.arrays import Double, Mask
from probe.errors import DegenerateDataError
from probe.latent.directions import AxisEstimator, PairDirection
from probe.latent.directions.covariance import estimated_shrinkage, solve_covariance


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
        axis = np.linalg.svd(male - female, full_matrices=False)[2][0]
        if abs(side := float(difference @ axis)) <= floor:
            raise DegenerateDataError(
                f"the first component of {len(male)} pair differences is at a right angle to their "
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

    S_w is shrunk, see `estimated_shrinkage`, whether or not there are more prompts than dimensions:
    prompts are made from few words and templates, so that some directions hardly vary, and without
    shrinkage these alone would make the axis.

    Attributes
    ----------
    shrinkage_ : float
        Share s of ``(1 - s) S_w + s mu I``, mu being the mean variance.

    References
    ----------
    Fisher, *The use of multiple measurements in taxonomic problems*, Annals of Eugenics 7 (1936).
    """

    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        within = np.concatenate([male - male.mean(axis=0), female - female.mean(axis=0)])
        self.shrinkage_ = estimated_shrinkage(within)
        axis = solve_covariance(within, difference[:, None], shrinkage=self.shrinkage_)[:, 0]
        if not axis.any():
            raise DegenerateDataError(
                "the groups differ only where neither varies, so the covariance has no inverse "
                "there; needed more pairs"
            )
        return axis


class LogisticDirection(AxisEstimator):
    """Take the weights of a logistic regression of the group as the bias axis.

    The rows are centred and divided by one number, their standard deviation over all features,
    so that neither the place nor the scale of the space matters; the penalty is ``||w||^2 / 2``.
    It is needed: where there are fewer prompts than dimensions the groups can always be
    separated, and without it the weights would grow without limit.
    """

    def _axis(self, male: Double, female: Double, difference: Double, floor: float) -> Double:
        is_male = np.arange(2 * len(male)) < len(male)
        return fit_logistic(np.concatenate([male, female]), is_male)[0]


def fit_logistic(
    rows: Double, is_member: Mask, *, n_features: int | None = None
) -> tuple[Double, Double]:
    """Fit a logistic regression of a group, in which both groups weigh the same.

    Rows of shape (n, n_coordinates) are centred and divided by their standard deviation over all
    features. ``n_features`` is the width of the space, if the rows are given in fewer coordinates.
    Returns the weights (n_coordinates,), which point to the members, and each row's log odds (n,).
    """
    from sklearn.linear_model import LogisticRegression

    centered = rows - rows.mean(axis=0)
    scaled = centered / np.sqrt((centered**2).sum() / (len(rows) * (n_features or rows.shape[1])))
    # Newton's method reaches the optimum to rounding, which the first-order solvers do not
    model = LogisticRegression(solver="newton-cholesky", tol=1e-8, class_weight="balanced")
    model.fit(scaled, is_member)
    return model.coef_[0], model.decision_function(scaled)


ESTIMATORS: dict[str, type[AxisEstimator]] = {
    "pairs": PairDirection,
    "pca": PrincipalDirection,
    "lda": DiscriminantDirection,
    "logistic": LogisticDirection,
}
"""Every estimator of a bias axis by its short name; all fit with their defaults."""
