"""Fit both gates on the prompts that may be learnt from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from probe.arrays import Double, Float32
from probe.errors import DataError
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.gate.classes import CLASSES, Labels, true_classes
from probe.moesd.gate.classifier import fit_classifier
from probe.moesd.gate.gate import Gate, gate_features
from probe.moesd.gate.reading import read_prompts
from probe.moesd.gate.thresholds import explicit_threshold, opening_threshold
from probe.text.captions.gender import read_gender
from probe.text.captions.gender_words import GENDERS, GenderWords
from probe.text.challenge_prompts import LESSONS, PromptTemplates, subjects_by_split
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet

LEXICON_WEIGHT = 4.0
"""Weight of a prompt of the lexicon, where one of the lessons weighs 1; ours."""
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
    """Fit both gates on prompts of the training occupations, on objects, and on the lessons.

    The lessons (`probe.text.challenge_prompts.LESSONS`) say the same in many more ways than the
    lexicon's templates: names, pronouns, negations, gendered words that mean nobody. A gate that
    looks words up learns from them how far to trust its list beside the states; while it learns,
    the list lacks every second name, noun and word for a person that is taught, or it would learn
    that what is not on the list says nothing, whatever the encoder knows of it.

    Parameters
    ----------
    encoder : TextEncoder
        Reads the lessons, and the words of all prompts where the gate reads words.
    prompts : PromptSet
        All prompts; held-out occupations are left out here.
    z : ndarray of shape (n_prompts, n_features)
        Pooled states of ``prompts``, L2-normalised.
    config : TrainConfig
        Of it ``gate_reads``, ``gate_list``, ``neutral_band``, ``false_alarm``, ``abstain_below``,
        ``soft``, ``gate_kind`` and ``seed``.

    Raises
    ------
    DataError
        If one of the four classes has no training prompt.
    """
    config = config or TrainConfig()
    table = prompts.table
    training = (table["split"] != "held_out").to_numpy()
    axis = projection.removed(direction.vector[None])[0]
    raw = z @ axis
    group = table["group"].to_numpy(dtype=str)
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
    taught = _taught(table[training])
    said = taught["prompt"].tolist()
    taught_z = np.concatenate([z[training], encoder.embed(said[training.sum() :])])
    has_list = config.gate_list
    reading = read_prompts(
        encoder,
        said,
        reads=config.gate_reads,
        has_list=has_list,
        z=taught_z,
        lists=_list_of_half(said) if has_list else None,
    )
    taught_bias_scores = reading.z @ axis - midpoint
    kinds = taught["kind"].to_numpy(dtype=str)
    classifier, held_out = fit_classifier(
        gate_features(reading, taught_bias_scores, config.gate_reads, has_list=has_list),
        kinds,
        weights=taught["weight"].to_numpy(dtype=np.float64),
        groupings=(
            taught["subject"].to_numpy(dtype=str),
            taught["template"].to_numpy(dtype=str),
        ),
        seed=config.seed,
    )
    is_skewed = np.abs(taught_bias_scores) >= neutral_below
    return Gate(
        axis=axis,
        midpoint=midpoint,
        neutral_below=neutral_below,
        explicit_above=explicit_threshold(
            np.abs(bias_scores[training]),
            truth[training] == CLASSES[0],
            above=neutral_below,
            false_alarm=config.false_alarm,
        ),
        classifier=classifier,
        open_above=max(
            config.abstain_below,
            _opening(held_out, kinds, is_skewed, false_alarm=config.false_alarm),
        ),
        reads=config.gate_reads,
        has_list=has_list,
        kind=config.gate_kind,
        is_soft=config.soft,
    )


def _list_of_half(prompts: list[str]) -> GenderWords:
    """Give the lists without every second name, noun and word for a person that is taught."""
    words = PromptTemplates.load(LESSONS).words
    lists = [words[gender][slot] for gender in GENDERS for slot in ("name", "noun")]
    people = {word.lower() for prompt in prompts for word in read_gender(prompt).people}
    return GenderWords.load().without(word for of in (*lists, sorted(people)) for word in of[::2])


def _taught(table: pd.DataFrame) -> pd.DataFrame:
    """List the training prompts, those of the lexicon first, with kind, weight and groups."""
    own = table[["prompt", "subject", "template"]].assign(
        kind=table["group"].map(_KINDS), weight=LEXICON_WEIGHT
    )
    names = subjects_by_split(PromptSet(table))
    lessons = PromptTemplates.load(LESSONS).prompts(names, split="trained", every=_EVERY)
    fresh = lessons[~lessons["prompt"].isin(own["prompt"])].assign(weight=1.0)
    return pd.concat([own, fresh[own.columns]], ignore_index=True)


def _opening(held_out: Double, kinds: Labels, is_skewed: Double, *, false_alarm: float) -> float:
    """Choose the threshold on classifiers that had not seen the prompt's subject or template."""
    person = held_out[..., 1]
    opens = (person >= held_out.max(axis=2)) & is_skewed
    scores = np.where(opens, person, -np.inf)
    is_closed = np.broadcast_to(kinds != "person", scores.shape)
    return opening_threshold(scores.ravel(), is_closed.ravel(), false_alarm=false_alarm)
