"""Fit the gate on training prompts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from probe.arrays import Double, Float32, Mask
from probe.errors import DataError
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.gate.classes import CLASSES, Labels, true_classes
from probe.moesd.gate.classifier import fit_classifier
from probe.moesd.gate.gate import Gate, gate_features
from probe.moesd.gate.reading import read_prompts
from probe.text.captions.gender import read_gender
from probe.text.captions.vocabulary import GENDERS, GenderWords
from probe.text.challenge_prompts import LESSONS, PromptTemplates, subjects_by_split
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet

LEXICON_WEIGHT = 4.0
"""Weight of a lexicon prompt relative to one of `LESSONS`; ours."""
_EVERY = 4
_KINDS = {"neutral": "person", "male": "explicit", "female": "explicit", "object": "neutral"}


def fit_gate(
    encoder: TextEncoder,
    prompts: PromptSet,
    z: Float32,
    *,
    direction: BiasDirection,
    projection: CalibratedProjection,
    config: TrainConfig | None = None,
) -> Gate:
    """Fit both kinds of gate on prompts of training occupations, on objects, and on the lessons.

    The lessons (`probe.text.challenge_prompts.LESSONS`) vary names, pronouns, negations, and
    gendered words that refer to nobody. A gate with a word list is fitted with half of the names,
    nouns and person words removed from it; otherwise it would learn that a word outside the list
    never states a gender, whatever the encoder knows.

    Parameters
    ----------
    encoder : TextEncoder
    prompts : PromptSet
        All prompts; held-out occupations are not used.
    z : ndarray of shape (n_prompts, n_features)
        Pooled states of ``prompts``, L2-normalised.
    config : TrainConfig
        Its settings of the gate, and ``seed``.

    Raises
    ------
    DataError
        If one of the four classes has no training prompt.
    """
    config = config or TrainConfig()
    table = prompts.table
    training = (table["split"] != "held_out").to_numpy()
    group = table["group"].to_numpy(dtype=str)
    axis = projection.removed(direction.vector[None])[0]
    raw = z @ axis
    midpoint = float(
        (raw[training & (group == "male")].mean() + raw[training & (group == "female")].mean()) / 2
    )
    bias_scores = raw - midpoint
    neutral_below = config.neutral_band * float(bias_scores[training & (group == "neutral")].std())
    truth = true_classes(prompts, bias_scores, neutral_below=neutral_below)
    if missing := sorted(set(CLASSES) - set(truth[training])):
        raise DataError(
            f"no training prompt is {missing}; the gate needs all of {list(CLASSES)}: "
            "use a lexicon with more occupations or a smaller neutral band"
        )
    lessons = _training_table(table[training])
    texts = lessons["prompt"].tolist()
    reading = read_prompts(
        encoder,
        texts,
        reads=config.gate_reads,
        has_list=config.gate_list,
        z=np.concatenate([z[training], encoder.embed(texts[training.sum() :])]),
        lists=half_of_the_lists(texts) if config.gate_list else None,
    )
    lesson_scores = reading.z @ axis - midpoint
    kinds = lessons["kind"].to_numpy(dtype=str)
    classifier, cross_validated = fit_classifier(
        gate_features(reading, lesson_scores, config.gate_reads, has_list=config.gate_list),
        kinds,
        weights=lessons["weight"].to_numpy(dtype=np.float64),
        groupings=(
            lessons["subject"].to_numpy(dtype=str),
            lessons["template"].to_numpy(dtype=str),
        ),
        seed=config.seed,
    )
    is_skewed = np.abs(lesson_scores) >= neutral_below
    rate = config.false_alarm
    return Gate(
        axis=axis,
        midpoint=midpoint,
        neutral_below=neutral_below,
        explicit_above=explicit_threshold(
            np.abs(bias_scores[training]),
            truth[training] == CLASSES[0],
            above=neutral_below,
            false_alarm=rate,
        ),
        classifier=classifier,
        open_above=max(
            config.abstain_below, _open_above(cross_validated, kinds, is_skewed, false_alarm=rate)
        ),
        reads=config.gate_reads,
        has_list=config.gate_list,
        kind=config.gate_kind,
        is_soft=config.soft,
    )


def opening_threshold(scores: Double, is_closed: Mask, *, false_alarm: float) -> float:
    """Find the least threshold that bounds the rate of false alarms.

    Parameters
    ----------
    scores : ndarray of shape (n_prompts,)
        Scores for opening the gate; -inf where it stays closed at any threshold.
    is_closed : ndarray of bool, shape (n_prompts,)
        Which prompts must not open the gate.
    false_alarm : float
        Largest share of these that may open it.

    Returns
    -------
    float
        The smallest t >= 0 for which the share of closed prompts with ``score >= t`` is at most
        ``false_alarm``.
    """
    alarms = np.sort(scores[is_closed & np.isfinite(scores)])[::-1]
    n_allowed = int(np.floor(false_alarm * is_closed.sum() + 1e-9))
    if len(alarms) <= n_allowed:
        return 0.0
    return max(0.0, float(np.nextafter(alarms[n_allowed], np.inf)))


def explicit_threshold(
    sizes: Double, is_explicit: Mask, *, above: float, false_alarm: float
) -> float:
    """Find the size of the bias score above which a prompt is taken to be explicit.

    Of the thresholds above ``above`` that classify at most a share ``false_alarm`` of the explicit
    prompts as skewed, the one with the best balanced accuracy.

    Parameters
    ----------
    sizes : ndarray of shape (n_prompts,)
        Absolute bias scores.
    is_explicit : ndarray of bool, shape (n_prompts,)
    """
    candidates = np.unique(sizes[sizes > above])
    explicit = sizes[is_explicit][:, None]
    sensitivity = (explicit > candidates).mean(axis=0)
    specificity = (sizes[~is_explicit][:, None] <= candidates).mean(axis=0)
    alarms = ((explicit > above) & (explicit <= candidates)).mean(axis=0)
    score = np.where(alarms <= false_alarm, sensitivity + specificity, -np.inf)
    return float(candidates[np.argmax(score)]) if np.isfinite(score).any() else float(above)


def half_of_the_lists(prompts: list[str]) -> GenderWords:
    """Return the word lists without every second name, noun and person word of the lessons."""
    words = PromptTemplates.load(LESSONS).words
    lists = [words[gender][slot] for gender in GENDERS for slot in ("name", "noun")]
    people = {word.lower() for prompt in prompts for word in read_gender(prompt).people}
    return GenderWords.load().without(word for of in (*lists, sorted(people)) for word in of[::2])


def _training_table(table: pd.DataFrame) -> pd.DataFrame:
    """List the training prompts, those of the lexicon first, with kind, weight and groups."""
    lexicon = table[["prompt", "subject", "template"]].assign(
        kind=table["group"].map(_KINDS), weight=LEXICON_WEIGHT
    )
    names = subjects_by_split(PromptSet(table))
    lessons = PromptTemplates.load(LESSONS).prompts(names, split="trained", every=_EVERY)
    fresh = lessons[~lessons["prompt"].isin(lexicon["prompt"])].assign(weight=1.0)
    return pd.concat([lexicon, fresh[lexicon.columns]], ignore_index=True)


def _open_above(
    cross_validated: Double, kinds: Labels, is_skewed: Mask, *, false_alarm: float
) -> float:
    """Choose the threshold of the trained gate from cross-validated probabilities."""
    person = cross_validated[..., 1]
    opens = (person >= cross_validated.max(axis=2)) & is_skewed
    scores = np.where(opens, person, -np.inf)
    is_closed = np.broadcast_to(kinds != "person", scores.shape)
    return opening_threshold(scores.ravel(), is_closed.ravel(), false_alarm=false_alarm)
