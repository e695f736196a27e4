"""A fitted gate: it decides which prompts are corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Float32, Mask, Matrix
from probe.errors import ShapeError
from probe.io.settings import one_of
from probe.moesd.config import GATE_KINDS, READS, GateKind, Reads
from probe.moesd.gate.classes import CLASSES, Labels, classify_bias_score
from probe.moesd.gate.classifier import KindClassifier
from probe.moesd.gate.reading import Reading, read_prompts
from probe.text.encoder import TextEncoder

FLAG_SCALE = 4.0
"""Scale of the word flags beside states of length 1, so that the ridge hardly penalises them."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a gate decides about prompts."""

    classes: Labels
    """Shape (n_prompts,), of `CLASSES`. The gate opens for the two skewed ones."""
    is_abstained: Mask
    """Shape (n_prompts,). A skewed class was likeliest but not likely enough; the class is then the
    likelier of the other two."""
    weights: Double
    """Shape (n_prompts, 2): weights of the experts ``toward-female`` and ``toward-male``; all 0
    where the gate stays closed."""

    @property
    def is_open(self) -> Mask:
        """Which prompts are corrected, shape (n_prompts,)."""
        result: Mask = np.isin(self.classes, CLASSES[1:3])
        return result


@dataclass(frozen=True, eq=False)
class Gate:
    """A fitted gate of one of two kinds.

    The *closed-form* gate uses the bias score only: below ``neutral_below`` in size a prompt is
    neutral, above ``explicit_above`` explicit, in between skewed. The *trained* gate first
    classifies what the prompt states (a gender, a person without gender, no person) by a calibrated
    linear classifier; for a person, the bias score determines the class. It opens if the
    probability of the skewed class is at least ``open_above``, which bounds its false alarms.
    """

    axis: Double
    """Shape (n_features,); ``d - Pd``, so that ``<z - Pz, d> = <z, axis>`` (P is symmetric)."""
    midpoint: float
    """Origin of the bias score: half-way between the explicit male and female prompts."""
    neutral_below: float
    explicit_above: float
    classifier: KindClassifier
    open_above: float = 0.0
    """Least probability of a skewed class that opens the trained gate."""
    reads: Reads = "pooled"
    has_list: bool = False
    """Whether the trained gate also uses word flags."""
    kind: GateKind = "trained"
    is_soft: bool = False
    """Whether an expert's weight is the class probability rather than 1."""

    def __post_init__(self) -> None:
        one_of("kind", self.kind, GATE_KINDS)
        one_of("reads", self.reads, READS)

    def read(
        self, encoder: TextEncoder, prompts: Sequence[str], z: Float32 | None = None
    ) -> Reading:
        """Read prompts in this gate's form; ``z`` are their pooled states, where known."""
        return read_prompts(encoder, prompts, reads=self.reads, has_list=self.has_list, z=z)

    def bias_score(self, z: Float32) -> Double:
        """Measure the bias score.

        Parameters
        ----------
        z : ndarray of shape (n_prompts, n_features)
            Pooled states, L2-normalised.

        Returns
        -------
        ndarray of shape (n_prompts,)
            ``<z - Pz, d>`` minus the midpoint; 0 is unbiased, positive is skewed to male.
        """
        if z.ndim != 2 or z.shape[1] != self.axis.size:
            raise ShapeError(
                f"the gate reads vectors of width {self.axis.size}, got shape {z.shape}; "
                "embed with the encoder it was fitted on"
            )
        result: Double = z @ self.axis - self.midpoint
        return result

    def probabilities(self, reading: Reading) -> Double:
        """Return the calibrated probability of each of `CLASSES`, shape (n_prompts, 4).

        The probability of a person goes to the class that the bias score determines.
        """
        bias_scores = self.bias_score(reading.z)
        features = gate_features(reading, bias_scores, self.reads, has_list=self.has_list)
        explicit, person, nobody = self.classifier.probabilities(features).T
        is_skewed = np.abs(bias_scores) >= self.neutral_below
        male, female = is_skewed & (bias_scores > 0), is_skewed & (bias_scores <= 0)
        return np.stack(
            [explicit, person * male, person * female, nobody + person * ~is_skewed], axis=1
        )

    def decide(self, reading: Reading, *, kind: GateKind | None = None) -> Decision:
        """Decide about prompts, with the gate's own kind by default."""
        if (kind or self.kind) == "closed-form":
            classes = classify_bias_score(
                self.bias_score(reading.z),
                neutral_below=self.neutral_below,
                explicit_above=self.explicit_above,
            )
            chosen = np.stack([classes == CLASSES[1], classes == CLASSES[2]], axis=1)
            return Decision(classes, np.zeros(len(reading), bool), chosen.astype(np.float64))
        p = self.probabilities(reading)
        best = p.argmax(axis=1)
        is_abstained = np.isin(best, (1, 2)) & (p[:, 1:3].max(axis=1) < self.open_above)
        best = np.where(is_abstained, np.where(p[:, 0] >= p[:, 3], 0, 3), best)
        weights = p[:, 1:3] if self.is_soft else np.stack([best == 1, best == 2], axis=1)
        is_open = np.isin(best, (1, 2))[:, None]
        return Decision(np.asarray(CLASSES)[best], is_abstained, np.where(is_open, weights, 0.0))

    def classify(self, reading: Reading, *, kind: GateKind | None = None) -> Labels:
        """Name the class of each prompt, shape (n_prompts,); see `decide`."""
        return self.decide(reading, kind=kind).classes


def gate_features(reading: Reading, bias_scores: Double, reads: Reads, *, has_list: bool) -> Matrix:
    """Return the classifier's input, shape (n_prompts, n_gate_features).

    Raises
    ------
    ShapeError
        If the reading does not have what the gate needs.
    """
    features: Matrix | None
    if reads == "bias_score":
        features = np.stack([bias_scores, np.abs(bias_scores)], axis=1)
    else:
        features = reading.z if reads == "pooled" else reading.words
    if features is None:
        raise ShapeError(
            "the gate reads words but was given pooled states only; read prompts with `Gate.read`"
        )
    if not has_list:
        return features
    if reading.flags is None:
        raise ShapeError(
            "the gate looks words up but was given states only; read prompts with `Gate.read`"
        )
    return np.concatenate([features, FLAG_SCALE * reading.flags], axis=1)
