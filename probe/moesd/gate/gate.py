"""A fitted gate: the skew's axis and thresholds, and a calibrated classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.errors import ShapeError
from probe.moesd.config import ROUTINGS, Routing
from probe.moesd.gate.classes import CLASSES, Labels, Vector, classify_skew
from probe.settings import one_of

Matrix = npt.NDArray[np.float32]


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
