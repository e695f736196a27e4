"""A fitted gate: its classes, its classifier, and how it decides about prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Float32, Mask, Matrix
from probe.errors import ShapeError
from probe.io.settings import one_of
from probe.moesd.config import GATE_KINDS, READS, GateKind, Reads
from probe.moesd.gate.reading import Reading, read_prompts, reasons_to_leave
from probe.text.attributes import GENDER, Attribute
from probe.text.captions.vocabulary import GenderWords
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet

CLASSES = ("explicit", "male-skewed", "female-skewed", "neutral")
"""``explicit``: the prompt states the gender; ``neutral``: no person, or a bias score near 0 where
that counts (`Gate.corrects_everyone`). The gate opens for the skewed classes only, each of which
goes to the expert of the other direction, unless each image draws its own."""

CLASSES_OF_OTHERS = ("explicit", "open", "neutral")
"""Classes where the first attribute is not gender. ``explicit``: words of the prompt state the
attribute; ``neutral``: no person. The gate opens for the others."""

Labels: TypeAlias = npt.NDArray[np.str_]

FLAG_SCALE = 4.0
"""Scale of the word flags beside states of length 1, so that the ridge hardly penalises them."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a gate decides about prompts."""

    classes: Labels
    """Shape (n_prompts,), of `Gate.classes`: as regards the first attribute."""
    is_abstained: Mask
    """Shape (n_prompts,). A skewed class was likeliest but not likely enough; the class is then the
    likelier of the other two."""
    opens: Mask
    """Shape (n_prompts, n_attributes): in which attributes each prompt is corrected. "An old nurse"
    is open for gender and not for age."""

    @property
    def is_open(self) -> Mask:
        """Which prompts are corrected in any attribute, shape (n_prompts,)."""
        return np.asarray(self.opens.any(axis=1))

    @property
    def weights(self) -> Double:
        """Shape (n_prompts, 2): 1 for the expert ``toward-female`` or ``toward-male``, else 0."""
        chosen = np.stack([self.classes == CLASSES[1], self.classes == CLASSES[2]], axis=1)
        return chosen.astype(np.float64)


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
        from scipy.special import softmax

        logits = (features @ self.weights.T + self.intercepts) / self.temperature
        result: Double = softmax(logits, axis=-1)
        return result


@dataclass(frozen=True, eq=False)
class Gate:
    """A fitted gate of one of two kinds.

    The *closed-form* gate uses the bias score only: below ``neutral_below`` in size a prompt is
    neutral, above ``explicit_above`` explicit, in between skewed. The *trained* gate first
    classifies what the prompt states (a gender, a person without gender, no person) by a calibrated
    linear classifier; for a person, the bias score determines the class. It opens if the
    probability of the skewed class is at least ``open_above``, which bounds its false alarms.

    With ``corrects_everyone`` every prompt on a person without a gender is skewed to it, by however
    little: where each image draws its expert, its bias score need not say in which direction, and
    images need not be even where it is 0.
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
    corrects_everyone: bool = False
    """Whether the trained gate opens for a person however small the bias score is."""
    unlisted: tuple[str, ...] = ()
    """Nouns of the lexicon that it was fitted on, which its word list does not hold: a list that
    holds the nouns of a test says nothing about others."""
    is_english: bool = True
    """Whether the lexicon that it was fitted on is English: what is not is then left alone."""
    attributes: tuple[Attribute, ...] = (GENDER,)
    """What is corrected. The classifier decides about gender; for another attribute a prompt is
    open if it shows a person and none of its words states that attribute."""
    gendered_above: float = 0.0
    """Least probability that a prompt states a gender with which it counts as one on a person, so
    that the gate opens for other attributes; "a male plug" states one too."""

    def __post_init__(self) -> None:
        one_of("kind", self.kind, GATE_KINDS)
        one_of("reads", self.reads, READS)

    def read(
        self, encoder: TextEncoder, prompts: Sequence[str], z: Float32 | None = None
    ) -> Reading:
        """Read prompts in this gate's form; ``z`` are their pooled states, where known."""
        reading = read_prompts(
            encoder, prompts, reads=self.reads, has_list=self.has_list, z=z, lists=self.lists
        )
        reasons = reasons_to_leave(encoder, prompts, self.lists) if self.is_english else ()
        stated = np.zeros((len(prompts), len(self.attributes)), dtype=bool)
        for column, attribute in enumerate(self.attributes):
            if attribute.name != GENDER.name:
                stated[:, column] = [attribute.is_stated(prompt) for prompt in prompts]
        return replace(reading, left_alone=reasons, stated=stated)

    @property
    def is_about_gender(self) -> bool:
        """Whether gender is the first attribute, whose classes `decide` returns."""
        return self.attributes[0].name == GENDER.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of prompts as regards the first attribute."""
        return CLASSES if self.is_about_gender else CLASSES_OF_OTHERS

    @property
    def skewed_above(self) -> float:
        """Least size of the bias score with which a person is skewed to the trained gate."""
        return 0.0 if self.corrects_everyone else self.neutral_below

    @property
    def lists(self) -> GenderWords:
        """Its word lists."""
        return GenderWords.without_nouns(self.unlisted)

    def bias_score(self, z: Float32) -> Double:
        """Return the bias score, ``<z - Pz, d>`` minus the midpoint, shape (n_prompts,).

        ``z`` are pooled states of shape (n_prompts, n_features), L2-normalised. 0 is unbiased,
        positive is skewed to male.
        """
        if z.ndim != 2 or z.shape[1] != self.axis.size:
            raise ShapeError(
                f"the gate reads vectors of width {self.axis.size}, got shape {z.shape}; "
                "embed with the encoder it was fitted on"
            )
        result: Double = z @ self.axis - self.midpoint
        return result

    def probabilities(self, reading: Reading) -> Double:
        """Return the calibrated probability of each of `classes`, shape (n_prompts, n_classes).

        Of gender, the probability of a person goes to the class that the bias score determines.
        """
        if not self.is_about_gender:
            is_stated = self._stated(reading)[:, 0]
            explicit, person, nobody = self._probabilities_of_kinds(reading).T
            if not self.attributes[0].is_gender:  # a person of a gender is one
                explicit, person = np.zeros_like(explicit), explicit + person
            p = np.stack([explicit, person, nobody], axis=1)
            return np.where(is_stated[:, None], np.eye(3)[0], p)
        return self._probabilities_of_gender(reading)

    def _probabilities_of_kinds(self, reading: Reading) -> Double:
        scores = self.bias_score(reading.z)
        features = gate_features(reading, scores, self.reads, has_list=self.has_list)
        return self.classifier.probabilities(features)

    def _stated(self, reading: Reading) -> Mask:
        if reading.stated is None:
            raise ShapeError(
                "the gate looks for words that state an attribute but was given states only; read "
                "prompts with `Gate.read`"
            )
        return reading.stated

    def _probabilities_of_gender(self, reading: Reading) -> Double:
        explicit, person, nobody = self._probabilities_of_kinds(reading).T
        bias_scores = self.bias_score(reading.z)
        is_skewed = np.abs(bias_scores) >= self.skewed_above
        male, female = is_skewed & (bias_scores > 0), is_skewed & (bias_scores <= 0)
        return np.stack(
            [explicit, person * male, person * female, nobody + person * ~is_skewed], axis=1
        )

    def decide(self, reading: Reading, *, kind: GateKind | None = None) -> Decision:
        """Decide about prompts, with the gate's own kind by default.

        Prompts that are to be left alone (`Reading.left_alone`) count as explicit.
        """
        is_left = np.array(reading.left_alone or [""] * len(reading)) != ""
        of_gender = self._decide_gender(reading, is_left, kind)
        if self.is_about_gender and len(self.attributes) == 1:
            return of_gender
        p = self._probabilities_of_kinds(reading)
        least = np.array([self.gendered_above, self.open_above, np.inf])
        is_person = (p >= least)[np.arange(len(p)), p.argmax(axis=1)] & ~is_left
        stated, is_gender = self._stated(reading), [of.is_gender for of in self.attributes]
        opens = np.where(is_gender, of_gender.is_open[:, None], is_person[:, None]) & ~stated
        if self.is_about_gender:
            return replace(of_gender, opens=opens)
        is_explicit = is_left | stated[:, 0] | is_gender[0] & (of_gender.classes == CLASSES[0])
        classes = np.select([is_explicit, opens[:, 0]], CLASSES_OF_OTHERS[:2], CLASSES_OF_OTHERS[2])
        return Decision(classes, np.zeros(len(reading), bool), opens)

    def _decide_gender(self, reading: Reading, is_left: Mask, kind: GateKind | None) -> Decision:
        if (kind or self.kind) == "closed-form":
            classes = classify_bias_score(
                self.bias_score(reading.z),
                neutral_below=self.neutral_below,
                explicit_above=self.explicit_above,
            )
            return _of_gender(np.where(is_left, CLASSES[0], classes), np.zeros(len(reading), bool))
        p = self._probabilities_of_gender(reading)
        best = p.argmax(axis=1)
        is_abstained = np.isin(best, (1, 2)) & (p[:, 1:3].max(axis=1) < self.open_above)
        best = np.where(is_abstained, np.where(p[:, 0] >= p[:, 3], 0, 3), best)
        return _of_gender(np.asarray(CLASSES)[np.where(is_left, 0, best)], is_abstained & ~is_left)


def lacking(bias_scores: Double) -> npt.NDArray[np.int64]:
    """Return the place in `GENDER` of the value that each bias score lacks."""
    return (bias_scores < 0).astype(np.int64)


def _of_gender(classes: Labels, is_abstained: Mask) -> Decision:
    return Decision(classes, is_abstained, np.isin(classes, CLASSES[1:3])[:, None])


def gate_features(reading: Reading, bias_scores: Double, reads: Reads, *, has_list: bool) -> Matrix:
    """Return the classifier's input, shape (n_prompts, n_gate_features)."""
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


def classify_bias_score(
    bias_scores: Double, *, neutral_below: float, explicit_above: float
) -> Labels:
    """Name the class of each bias score by two thresholds on its size."""
    size = np.abs(bias_scores)
    skewed = np.where(bias_scores > 0, CLASSES[1], CLASSES[2])
    return np.where(
        size < neutral_below, CLASSES[3], np.where(size > explicit_above, CLASSES[0], skewed)
    )


def true_classes(prompts: PromptSet, bias_scores: Double, *, neutral_below: float) -> Labels:
    """Label prompts by their construction and bias score.

    Gendered prompts are ``explicit``, objects ``neutral``. A neutral prompt about a person is
    ``neutral`` if its bias score is below ``neutral_below``, and skewed otherwise.
    """
    by_bias_score = classify_bias_score(
        bias_scores, neutral_below=neutral_below, explicit_above=np.inf
    )
    group = prompts.table["group"].to_numpy(dtype=str)
    labels = np.where(np.isin(group, ("male", "female")), CLASSES[0], by_bias_score)
    return np.where(group == "object", CLASSES[3], labels)
