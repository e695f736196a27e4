"""A calibrated linear classifier of prompts: gender stated, person without gender, or no person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Indices, Matrix
from probe.moesd.gate.classes import Labels
from probe.text.challenge_prompts import KINDS

PENALTY = 0.3
"""Inverse ridge strength on features of total variance 10; ours, chosen on tinytown."""
N_FOLDS = 3


@dataclass(frozen=True, eq=False)
class KindClassifier:
    """Multinomial logistic regression with a temperature.

    References
    ----------
    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017 (the temperature).
    """

    weights: Double
    """Shape (3, n_features); rows in the order of `KINDS`."""
    intercepts: Double
    """Shape (3,)."""
    temperature: float

    def probabilities(self, features: Matrix) -> Double:
        """Return the probability of each of `KINDS`, shape (n_prompts, 3)."""
        return _softmax((features @ self.weights.T + self.intercepts) / self.temperature)


def fit_classifier(
    features: Matrix,
    kinds: Labels,
    *,
    weights: Double,
    groupings: tuple[Labels, ...],
    seed: int = 0,
) -> tuple[KindClassifier, Double]:
    """Fit the classifier, and its temperature by grouped cross-validation.

    Parameters
    ----------
    features : ndarray of shape (n_prompts, n_features)
    kinds : ndarray of shape (n_prompts,)
        Of `KINDS`.
    weights : ndarray of shape (n_prompts,)
        Of the prompts within their kind; the kinds have equal weight.
    groupings : tuple of ndarray of shape (n_prompts,)
        One cross-validation for each, e.g. by subject and by template.
    seed : int
        Of the folds.

    Returns
    -------
    classifier : KindClassifier
    cross_validated : ndarray of shape (len(groupings), n_prompts, 3)
        Probabilities by classifiers that were fitted without the prompt's group.
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
    for of_grouping, groups in zip(logits, groupings, strict=True):
        folds = GroupKFold(min(N_FOLDS, len(set(groups))), shuffle=True, random_state=seed)
        for train, test in folds.split(scaled, groups=groups):
            coefficients, intercepts = _fit(scaled[train], y[train], weights[train])
            of_grouping[test] = scaled[test] @ coefficients.T + intercepts
    flat, truth = logits.reshape(-1, len(KINDS)), np.tile(y, len(groupings))
    weight = np.tile(weights, len(groupings))

    def loss(log_temperature: float) -> float:
        p = _softmax(flat / np.exp(log_temperature))[np.arange(len(truth)), truth]
        return float(np.average(-np.log(np.maximum(p, 1e-300)), weights=weight))

    best = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded")
    temperature = float(np.exp(best.x))
    coefficients, intercepts = _fit(scaled, y, weights)
    classifier = KindClassifier(
        weights=coefficients / scale,
        intercepts=intercepts - coefficients @ center / scale,
        temperature=temperature,
    )
    return classifier, _softmax(logits / temperature)


def _fit(X: Double, y: Indices, weights: Double) -> tuple[Double, Double]:
    """Fit one regression; a kind that is missing from a fold gets no probability."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = LogisticRegression(C=PENALTY, max_iter=500, tol=1e-3)
    with threadpool_limits(1):  # on products this small, threads wait for each other
        model.fit(X, y, sample_weight=weights)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn then returns one row for both
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    all_rows = np.zeros((len(KINDS), X.shape[1]))
    all_intercepts = np.full(len(KINDS), -30.0)
    all_rows[model.classes_], all_intercepts[model.classes_] = coefficients, intercepts
    return all_rows, all_intercepts


def _softmax(logits: Double) -> Double:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Double = odds / odds.sum(axis=-1, keepdims=True)
    return result
