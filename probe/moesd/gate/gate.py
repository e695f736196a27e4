"""A fitted gate: the bias score's axis, what the prompt says, and when that is enough to open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Float32, Mask
from probe.errors import ShapeError
from probe.io.settings import one_of
from probe.moesd.config import GATE_KINDS, READS, GateKind, Reads
from probe.moesd.gate.classes import CLASSES, Labels, classify_bias_score
from probe.moesd.gate.classifier import KindClassifier
from probe.moesd.gate.reading import Reading, read_prompts
from probe.text.encoder import TextEncoder

FLAG_SCALE = 4.0
"""Of the flags of the list beside states of length 1, so that the ridge costs them little; ours."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a gate does with prompts."""

    classes: Labels
    """Shape (n_prompts,), of `CLASSES`. The gate opens for the two skewed ones."""
    is_abstained: Mask
    """Shape (n_prompts,). It leaned to opening and was not sure enough: these are left alone, and
    their class is the likelier of the closed two."""
    weights: Double
    """Shape (n_prompts, 2): of the experts ``toward-female`` and ``toward-male``; what is left to
    1 is the base model's. All 0 where the gate stays closed."""

    @property
    def is_open(self) -> Mask:
        """Which prompts are corrected, shape (n_prompts,)."""
        result: Mask = np.isin(self.classes, CLASSES[1:3])
        return result


@dataclass(frozen=True, eq=False)
class Gate:
    """A fitted gate.

    The *closed-form* gate asks only the size and the sign of the bias score: below
    ``neutral_below`` a prompt is neutral, above ``explicit_above`` it is taken to say the gender
    itself, in between it is skewed. The *trained* gate first reads what the prompt says, the
    gender, a person without it, or nobody, by a calibrated linear classifier; where that is a
    person, the sign and the size of the bias score say the class. It opens only from the
    probability ``open_above`` on, which keeps its false alarms to a stated rate; prompts in the
    band below are left alone and counted.
    """

    axis: Double
    """Shape (n_features,); ``d - Pd``, so that ``<z - Pz, d> = <z, axis>`` (P is symmetric)."""
    midpoint: float
    """Bias score half-way between the explicit male and female prompts: the origin of the scale."""
    neutral_below: float
    explicit_above: float
    classifier: KindClassifier
    open_above: float = 0.0
    """Least probability of a skewed class for which the trained gate opens."""
    reads: Reads = "pooled"
    has_list: bool = False
    """Whether the trained gate looks up what the words of a prompt say, too."""
    kind: GateKind = "trained"
    is_soft: bool = False
    """Whether an expert's shift is weighted by the class's probability, or the likeliest class
    takes all."""

    def __post_init__(self) -> None:
        one_of("kind", self.kind, GATE_KINDS)
        one_of("reads", self.reads, READS)

    def read(
        self, encoder: TextEncoder, prompts: Sequence[str], z: Float32 | None = None
    ) -> Reading:
        """Read prompts as this gate needs them; ``z`` are their pooled states, where known."""
        return read_prompts(encoder, prompts, reads=self.reads, has_list=self.has_list, z=z)

    def bias_score(self, z: Float32) -> Double:
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
        result: Double = z @ self.axis - self.midpoint
        return result

    def probabilities(self, reading: Reading) -> Double:
        """Give the calibrated probability of each of `CLASSES`, shape (n_prompts, 4).

        A person's share goes to the class that the bias score says: that one is a matter of
        definition.
        """
        explicit, person, nobody = self._kinds(reading).T
        bias_scores = self.bias_score(reading.z)
        is_skewed = np.abs(bias_scores) >= self.neutral_below
        male, female = is_skewed & (bias_scores > 0), is_skewed & (bias_scores <= 0)
        return np.stack(
            [explicit, person * male, person * female, nobody + person * ~is_skewed], axis=1
        )

    def decide(self, reading: Reading, *, kind: GateKind | None = None) -> Decision:
        """Say what is done with prompts, by the gate's own kind or by the one that is named."""
        if (kind or self.kind) == "closed-form":
            classes = classify_bias_score(
                self.bias_score(reading.z),
                neutral_below=self.neutral_below,
                explicit_above=self.explicit_above,
            )
            sent = np.stack([classes == CLASSES[1], classes == CLASSES[2]], axis=1)
            return Decision(classes, np.zeros(len(reading), bool), sent.astype(np.float64))
        chances = self.probabilities(reading)
        best = chances.argmax(axis=1)
        leans = np.isin(best, (1, 2))
        is_abstained = leans & (chances[:, 1:3].max(axis=1) < self.open_above)
        closed = np.where(chances[:, 0] >= chances[:, 3], 0, 3)
        best = np.where(is_abstained, closed, best)
        sent = chances[:, 1:3] if self.is_soft else np.stack([best == 1, best == 2], axis=1)
        is_open = np.isin(best, (1, 2))[:, None]
        return Decision(np.asarray(CLASSES)[best], is_abstained, np.where(is_open, sent, 0.0))

    def classify(self, reading: Reading, *, kind: GateKind | None = None) -> Labels:
        """Name the class of each prompt, shape (n_prompts,); see `decide`."""
        return self.decide(reading, kind=kind).classes

    def _kinds(self, reading: Reading) -> Double:
        return self.classifier.probabilities(
            gate_features(reading, self.bias_score(reading.z), self.reads, has_list=self.has_list)
        )


def gate_features(
    reading: Reading, bias_scores: Double, reads: Reads, *, has_list: bool
) -> npt.NDArray[np.floating]:
    """Give what the classifier sees, shape (n_prompts, n_gate_features)."""
    of_states = _of_states(reading, bias_scores, reads)
    if not has_list:
        return of_states
    if reading.said is None:
        raise ShapeError(
            "the gate looks words up but was given states alone; take them from `Gate.read`"
        )
    return np.concatenate([of_states, FLAG_SCALE * reading.said], axis=1)


def _of_states(reading: Reading, bias_scores: Double, reads: Reads) -> npt.NDArray[np.floating]:
    if reads == "bias_score":
        return np.stack([bias_scores, np.abs(bias_scores)], axis=1)
    if reads == "pooled":
        return reading.z
    if reading.words is None:
        raise ShapeError(
            "the gate reads words but was given pooled states alone; take them from `Gate.read`"
        )
    return reading.words
