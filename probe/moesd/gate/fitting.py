"""Fit both gates on the prompts that may be learnt from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.errors import DataError
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import Routing
from probe.moesd.gate.classes import CLASSES, Labels, Vector, true_classes
from probe.moesd.gate.gate import Gate, Matrix
from probe.text.prompts import PromptSet


def fit_gate(
    z: Matrix,
    prompts: PromptSet,
    *,
    direction: BiasDirection,
    projection: CalibratedProjection,
    neutral_band: float = 0.1,
    routing: Routing = "trained",
    seed: int = 0,
) -> Gate:
    """Fit both gates on the prompts of the training occupations and on objects.

    Parameters
    ----------
    z : ndarray of shape (n_prompts, n_features)
        Pooled states of ``prompts``, L2-normalised.
    prompts : PromptSet
        All prompts; held-out occupations are left out here.
    neutral_band : float
        Half-width of the band called neutral, in standard deviations of the training
        occupations' skew. Our choice: the paper does not say.

    Raises
    ------
    DataError
        If one of the four classes has no training prompt.
    """
    table = prompts.table
    training = (table["split"] != "held_out").to_numpy()
    axis = projection.removed(direction.vector[None])[0]
    raw = z @ axis
    group = table["group"].to_numpy(dtype=str)
    midpoint = float(
        (raw[training & (group == "male")].mean() + raw[training & (group == "female")].mean()) / 2
    )
    skews = raw - midpoint
    neutral_below = neutral_band * float(skews[training & (group == "neutral")].std())
    truth = true_classes(prompts, skews, neutral_below=neutral_below)
    if missing := sorted(set(CLASSES) - set(truth[training])):
        raise DataError(
            f"no training prompt is {missing}; the gate needs all of {list(CLASSES)}: "
            "use a lexicon with more occupations or a smaller neutral band"
        )
    weights, intercepts, temperature = _fit_logistic(
        z[training], truth[training], table["subject"].to_numpy(dtype=str)[training], seed=seed
    )
    return Gate(
        axis=axis,
        midpoint=midpoint,
        neutral_below=neutral_below,
        explicit_above=_split_point(
            np.abs(skews[training]), truth[training] == CLASSES[0], above=neutral_below
        ),
        weights=weights,
        intercepts=intercepts,
        temperature=temperature,
        routing=routing,
    )


def _split_point(sizes: Vector, is_explicit: npt.NDArray[np.bool_], *, above: float) -> float:
    """Find the threshold with the best balanced accuracy between explicit prompts and the rest."""
    candidates = np.unique(sizes[sizes > above])
    hits = (sizes[is_explicit][:, None] > candidates).mean(axis=0)
    passes = (sizes[~is_explicit][:, None] <= candidates).mean(axis=0)
    return float(candidates[np.argmax(hits + passes)])


def _fit_logistic(
    z: Matrix, labels: Labels, subjects: Labels, *, seed: int
) -> tuple[Vector, Vector, float]:
    """Fit the classifier; its temperature on folds that hold whole subjects out."""
    from scipy.optimize import minimize_scalar
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    y = np.array([CLASSES.index(label) for label in labels])
    model = LogisticRegression(C=100.0, class_weight="balanced", max_iter=2000)
    n_folds = min(5, len(set(subjects)))
    folds = GroupKFold(n_folds, shuffle=True, random_state=seed)
    logits = cross_val_predict(
        model, z.astype(np.float64), y, cv=folds, groups=subjects, method="decision_function"
    )

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        top = scaled.max(axis=1, keepdims=True)
        normalizer = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
        return float((normalizer - scaled[np.arange(len(y)), y]).mean())

    best = minimize_scalar(negative_log_likelihood, bounds=(-4.0, 4.0), method="bounded")
    model.fit(z.astype(np.float64), y)
    return model.coef_, model.intercept_, float(np.exp(best.x))
