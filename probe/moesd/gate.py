"""The Bias-Identification Gate: which prompts are to be corrected, and towards whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.errors import DataError, ShapeError
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import ROUTINGS, Routing
from probe.settings import one_of
from probe.text.prompts import PromptSet

CLASSES = ("explicit", "male-skewed", "female-skewed", "neutral")
"""``explicit``: the prompt itself says the gender; ``neutral``: no person, or no skew. Both are
left alone. The skewed classes go to the expert of the other side."""

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Gate:
    """A fitted gate: the skew's axis and thresholds, and a calibrated linear classifier.

    The *closed-form* gate asks only the size and the sign of the skew: below ``neutral_below`` a
    prompt is neutral, above ``explicit_above`` it is taken to say the gender itself, in between it
    is skewed. The *trained* gate is a multinomial logistic regression on the pooled state, its
    probabilities calibrated by one temperature (Guo et al. 2017).
    """

    axis: Vector
    """Shape (n_features,); ``d - Pd``, so that ``<z - Pz, d> = <z, axis>`` (P is symmetric)."""
    midpoint: float
    """Skew half-way between the explicit male and female prompts; skews are told from here."""
    neutral_below: float
    explicit_above: float
    weights: Vector
    """Shape (4, n_features); rows in the order of `CLASSES`."""
    intercepts: Vector
    """Shape (4,)."""
    temperature: float
    routing: Routing = "trained"

    def __post_init__(self) -> None:
        one_of("routing", self.routing, ROUTINGS)
        if self.weights.shape != (len(CLASSES), self.axis.size):
            raise ShapeError(
                f"gate weights must have shape {(len(CLASSES), self.axis.size)}, got "
                f"{self.weights.shape}; fit the gate on this encoder"
            )

    def skew(self, z: Matrix) -> Vector:
        """Measure towards whom prompts lean.

        Parameters
        ----------
        z : ndarray of shape (n_prompts, n_features)
            Pooled states, L2-normalised.

        Returns
        -------
        ndarray of shape (n_prompts,)
            ``<z - Pz, d>`` less the midpoint; 0 is no lean, positive leans to male.
        """
        if z.ndim != 2 or z.shape[1] != self.axis.size:
            raise ShapeError(
                f"the gate reads vectors of width {self.axis.size}, got shape {z.shape}; "
                "embed with the encoder it was fitted on"
            )
        result: Vector = z @ self.axis - self.midpoint
        return result

    def probabilities(self, z: Matrix) -> Vector:
        """Give the calibrated probability of each of `CLASSES`, shape (n_prompts, 4)."""
        logits = (z @ self.weights.T + self.intercepts) / self.temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Vector = odds / odds.sum(axis=1, keepdims=True)
        return result

    def classify(self, z: Matrix, *, routing: Routing | None = None) -> Labels:
        """Name the class of each prompt, shape (n_prompts,)."""
        if (routing or self.routing) == "closed-form":
            return classify_skew(
                self.skew(z), neutral_below=self.neutral_below, explicit_above=self.explicit_above
            )
        labels: Labels = np.asarray(CLASSES)[self.probabilities(z).argmax(axis=1)]
        return labels


def classify_skew(skews: Vector, *, neutral_below: float, explicit_above: float) -> Labels:
    """Name the class of each skew by two thresholds on its size."""
    size = np.abs(skews)
    skewed = np.where(skews > 0, CLASSES[1], CLASSES[2])
    return np.where(
        size < neutral_below, CLASSES[3], np.where(size > explicit_above, CLASSES[0], skewed)
    )


def true_classes(prompts: PromptSet, skews: Vector, *, neutral_below: float) -> Labels:
    """Label prompts by their construction and their skew, never by hand.

    Gendered prompts are ``explicit``, objects ``neutral``; a neutral prompt about a person is
    ``neutral`` where its skew is below ``neutral_below`` and skewed elsewhere.
    """
    by_skew = classify_skew(skews, neutral_below=neutral_below, explicit_above=np.inf)
    group = prompts.table["group"].to_numpy(dtype=str)
    labels = np.where(np.isin(group, ("male", "female")), CLASSES[0], by_skew)
    return np.where(group == "object", CLASSES[3], labels)


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
