"""A calibrated linear classifier of what a prompt says: the gender, a person without it, nobody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.text.challenge_prompts import KINDS

Labels = npt.NDArray[np.str_]

PENALTY = 0.3
"""Inverse strength of the ridge on features of total variance 10; ours, found on tinytown."""
N_FOLDS = 3


@dataclass(frozen=True, eq=False)
class KindClassifier:
    """Multinomial logistic regression with one temperature.

    References
    ----------
    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017 (the temperature).
    """

    weights: Double
    """Shape (3, n_features); rows in the order of `KINDS`."""
    intercepts: Double
    """Shape (3,)."""
    temperature: float

    def probabilities(self, features: npt.NDArray[np.floating]) -> Double:
        """Give the probability of each of `KINDS`, shape (n_prompts, 3)."""
        return _softmax((features @ self.weights.T + self.intercepts) / self.temperature)


def fit_classifier(
    features: npt.NDArray[np.floating],
    kinds: Labels,
    *,
    weights: Double,
    groupings: tuple[Labels, ...],
    seed: int = 0,
) -> tuple[KindClassifier, Double]:
    """Fit the classifier, its temperature on folds that hold whole groups out.

    Parameters
    ----------
    features : ndarray of shape (n_prompts, n_features)
    kinds : ndarray of shape (n_prompts,)
        Of `KINDS`.
    weights : ndarray of shape (n_prompts,)
        Of the prompts within their kind; the kinds weigh alike.
    groupings : tuple of ndarray of shape (n_prompts,)
        Ways to hold prompts out, e.g. by subject and by template: each is done in turn.

    Returns
    -------
    classifier : KindClassifier
    unseen : ndarray of shape (len(groupings), n_prompts, 3)
        The probabilities of each prompt by classifiers that have not seen its group.
    """
    from scipy.optimize import minimize_scalar
    from sklearn.model_selection import GroupKFold

    y = np.array([KINDS.index(kind) for kind in kinds])
    weights = weights.astype(np.float64).copy()
    for kind in np.unique(y):
        weights[y == kind] *= len(y) / (len(KINDS) * weights[y == kind].sum())
    center = features.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(features.var(axis=0, dtype=np.float64).sum() / 10)
    scaled = (features - center) / scale
    logits = np.empty((len(groupings), len(y), len(KINDS)))
    for held, groups in zip(logits, groupings, strict=True):
        folds = GroupKFold(min(N_FOLDS, len(set(groups))), shuffle=True, random_state=seed)
        for seen, held_out in folds.split(scaled, groups=groups):
            coefficients, intercepts = _fit(scaled[seen], y[seen], weights[seen])
            held[held_out] = scaled[held_out] @ coefficients.T + intercepts
    flat, truth = logits.reshape(-1, len(KINDS)), np.tile(y, len(groupings))
    weight = np.tile(weights, len(groupings))

    def loss(log_temperature: float) -> float:
        chances = _softmax(flat / np.exp(log_temperature))[np.arange(len(truth)), truth]
        return float(np.average(-np.log(np.maximum(chances, 1e-300)), weights=weight))

    best = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded")
    temperature = float(np.exp(best.x))
    coefficients, intercepts = _fit(scaled, y, weights)
    classifier = KindClassifier(
        weights=coefficients / scale,
        intercepts=intercepts - coefficients @ center / scale,
        temperature=temperature,
    )
    return classifier, _softmax(logits / temperature)


def _fit(X: Double, y: npt.NDArray[np.intp], weights: Double) -> tuple[Double, Double]:
    """Fit one regression; a kind that a fold lacks is never likely."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = LogisticRegression(C=PENALTY, max_iter=500, tol=1e-3)
    with threadpool_limits(1):  # on products this small, threads wait for each other
        model.fit(X, y, sample_weight=weights)
    present = model.classes_
    coefficients, intercepts = model.coef_, model.intercept_
    if len(present) == 2:  # one row stands for both there
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    all_rows = np.zeros((len(KINDS), X.shape[1]))
    all_intercepts = np.full(len(KINDS), -30.0)
    all_rows[present], all_intercepts[present] = coefficients, intercepts
    return all_rows, all_intercepts


def _softmax(logits: Double) -> Double:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Double = odds / odds.sum(axis=-1, keepdims=True)
    return result
