from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError, ShapeError
from probe.latent.directions.estimators import PairDirection
from probe.latent.erasure import CalibratedProjection, bias_score
from probe.moesd.config import TrainConfig
from probe.moesd.gate import CLASSES, Reading, classify_bias_score, fit_gate, fitting, true_classes
from probe.moesd.gate.fitting import explicit_threshold, opening_threshold
from probe.moesd.gate.reading import read_flags
from probe.text.captions.gender import read_gender
from probe.text.captions.vocabulary import GenderWords
from probe.text.challenge_prompts import LESSONS, PromptTemplates
from probe.text.encoder import TextEncoder
from probe.text.languages import translate
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.templates import english


def fit(town, vectors=None, prompts=None, **settings):
    return fit_gate(
        town.encoder,
        prompts or town.prompts,
        town.vectors if vectors is None else vectors,
        direction=town.direction,
        projection=town.projection,
        config=TrainConfig(**settings),
    )


@pytest.fixture(scope="module")
def gate(town):
    return fit(town)


SKEW = {"gate_reads": "bias_score", "gate_list": False}
"""What is quickest to fit."""


@pytest.fixture(scope="module")
def by_rate(town):
    """Gates of a strict rate of false alarms and of the loosest."""
    return {rate: fit(town, **SKEW, false_alarm=rate) for rate in (0.01, 1.0)}


@pytest.fixture(scope="module")
def reading(town, gate):
    return gate.read(town.encoder, town.prompts.prompts, town.vectors)


def test_a_person_of_bias_score_0_is_corrected_where_each_image_draws_its_expert(town):
    """The images of such a prompt need not be even: its text says nothing about them."""
    prompts = ["a portrait of a carpenter", "a portrait of a tree", "a portrait of a man"]
    answers = {}
    for objective in ("counterfactual", "both"):
        gate = fit(town, objective=objective)
        [score, *_] = gate.bias_score(town.encoder.embed(prompts))
        even = replace(gate, midpoint=gate.midpoint + score)
        answers[objective] = even.decide(even.read(town.encoder, prompts)).is_open.tolist()
    assert answers == {"counterfactual": [True, False, False], "both": [False, False, False]}


@given(st.floats(-2, 2), st.floats(0.01, 0.5), st.floats(0.6, 2))
def test_two_thresholds_cut_the_bias_score_into_four_classes(g, low, high):
    (found,) = classify_bias_score(np.array([g]), neutral_below=low, explicit_above=high)
    if abs(g) < low:
        assert found == "neutral"
    elif abs(g) > high:
        assert found == "explicit"
    else:
        assert found == ("male-skewed" if g > 0 else "female-skewed")


def test_the_gates_bias_score_is_the_projections_bias_score_from_the_midpoint(town, gate):
    expected = bias_score(town.vectors, town.direction, town.projection)
    np.testing.assert_allclose(gate.bias_score(town.vectors), expected - gate.midpoint, atol=1e-6)
    group = town.prompts.table["group"]
    training = town.prompts.is_training
    means = [
        gate.bias_score(town.vectors)[training & (group == g)].mean() for g in ("male", "female")
    ]
    assert sum(means) == pytest.approx(0.0, abs=1e-6)


def test_labels_come_from_construction_and_bias_score(town):
    bias_scores = np.where(np.arange(len(town.prompts)) % 2, 0.5, -0.5)
    labels = true_classes(town.prompts, bias_scores, neutral_below=0.1)
    group = town.prompts.table["group"].to_numpy()
    assert set(labels[np.isin(group, ["male", "female"])]) == {"explicit"}
    assert set(labels[group == "object"]) == {"neutral"}
    person = group == "neutral"
    assert (labels[person] == np.where(bias_scores[person] > 0, *CLASSES[1:3])).all()


def test_the_trained_gate_learns_what_it_is_shown(town, gate, reading):
    training = town.prompts.is_training
    truth = true_classes(
        town.prompts, gate.bias_score(town.vectors), neutral_below=gate.neutral_below
    )
    assert (replace(gate, open_above=0.0).decide(reading).classes == truth)[training].mean() > 0.9


@pytest.mark.parametrize("reads", ["pooled", "bias_score"])
def test_a_gate_that_reads_no_words_decides_on_the_pooled_states(town, by_rate, reads):
    found = by_rate[1.0] if reads == "bias_score" else fit(town, gate_reads=reads, gate_list=False)
    bare = Reading(town.vectors)
    read = found.read(town.encoder, town.prompts.prompts, town.vectors)
    assert (found.decide(bare).classes == found.decide(read).classes).all()


def test_the_list_says_what_this_encoder_cannot_know(town, gate):
    """The weights are random: without the list, a name or a pronoun would be any other word."""
    said = [
        "a snapshot of Sheila, a nurse", "the clerk said that he was tired",
        "a cook and her hat", "anything but a lady",
    ]  # fmt: skip
    silent = ["a photo of a nurse", "the clerk said it was late", "a cook in Virginia"]
    assert gate.has_list
    assert (gate.decide(gate.read(town.encoder, said)).classes == "explicit").all()
    assert "explicit" not in gate.decide(gate.read(town.encoder, silent)).classes


def test_the_list_holds_no_noun_of_the_lexicon_in_any_form(town, gate):
    nouns = Lexicon.load().nouns
    assert set(gate.unlisted) == set(nouns)
    for noun in nouns:
        for prompt in (
            f"a photo of a {noun}",
            f"two {english().plural(noun)}",
            f"the {noun}'s hat",
        ):
            assert not read_gender(prompt, gate.lists).people, prompt
        assert read_gender(f"a bearded {noun}", gate.lists).words == ("bearded",)
    others = read_gender("a barista beside a stranger", gate.lists)
    assert others.people == ("barista", "stranger")


def test_a_gate_learns_with_half_the_names_so_that_the_list_is_not_all_it_knows():
    """Else no word on the list would mean no gender said, whatever the encoder knows."""
    taught = fitting.half_of_the_lists(["a nurse and a judge", "a farmer"], GenderWords.load())
    names = PromptTemplates.load(LESSONS).words["female"]["name"]
    known = [name.lower() in taught.names for name in names]
    assert not any(known[::2])
    assert sum(known[1::2]) > 0.8 * len(known[1::2])
    assert [word in taught.captions.known for word in ("farmer", "judge", "nurse")] == [
        False, True, False,
    ]  # fmt: skip


def test_probabilities_are_a_distribution_and_its_top_is_the_route(gate, reading):
    p = gate.probabilities(reading)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    decision = gate.decide(reading)
    top = np.asarray(CLASSES)[p.argmax(axis=1)]
    assert (top == decision.classes)[~decision.is_abstained].all()


def test_what_falls_into_the_band_is_left_alone_and_counted(gate, reading):
    chances = gate.probabilities(reading)[:, 1:3].max(axis=1)
    free = replace(gate, open_above=0.0).decide(reading)
    bar = float(np.median(chances[free.is_open]))
    strict = replace(gate, open_above=bar).decide(reading)
    assert not free.is_abstained.any()
    np.testing.assert_array_equal(strict.is_abstained, free.is_open & (chances < bar))
    assert 0 < strict.is_abstained.sum() < free.is_open.sum()
    assert not (strict.is_open & strict.is_abstained).any()
    assert (strict.is_open | strict.is_abstained == free.is_open).all()


def test_a_stricter_rate_of_false_alarms_raises_both_thresholds(by_rate):
    loose, strict = by_rate[1.0], by_rate[0.01]
    assert strict.open_above > loose.open_above
    assert strict.explicit_above <= loose.explicit_above


@pytest.mark.parametrize(
    ("prompt", "flags"),
    [
        ("a female nurse and a judge", [1, 0, 0]),
        ("a nurse on James Street", [0, 1, 0]),
        ("Xqwerty, a tired nurse who waits on James Street", [0, 0, 0]),
        ("an empty office on James Street", [0, 0, 1]),
        ("a beach without people", [0, 0, 1]),
        ("a lighthouse", [0, 0, 0]),
    ],
)
def test_words_say_a_gender_a_person_or_nobody(prompt, flags):
    assert read_flags([prompt]).tolist() == [flags]
    with pytest.raises(DataError, match="is the string"):
        read_flags(prompt)
    assert read_flags([]).shape == (0, len(flags))


def test_readings_without_what_the_gate_needs_are_refused(town, gate, reading):
    with pytest.raises(ShapeError, match="looks words up"):
        gate.decide(replace(reading, flags=None))
    with pytest.raises(ShapeError, match="reads words"):
        gate.decide(Reading(town.vectors))


def test_vectors_of_another_width_are_refused(gate):
    with pytest.raises(ShapeError, match="width"):
        gate.bias_score(np.zeros((2, 5), dtype=np.float32))


def test_prompts_without_gendered_ones_are_refused(town):
    table = town.prompts.table
    rows = np.flatnonzero(~table["group"].isin(["object"]))
    few = PromptSet(table.iloc[rows].reset_index(drop=True))
    with pytest.raises(DataError, match="neutral"):
        fit(town, town.vectors[rows], few, neutral_band=0.0)


# Thresholds


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_rate_of_false_alarms_is_kept_and_no_lower_threshold_keeps_it(seed, rate):
    rng = np.random.default_rng(seed)
    scores, is_closed = rng.random(40).round(2), rng.random(40) < 0.6
    is_closed[0] = True
    scores[rng.random(40) < 0.2] = -np.inf
    found = opening_threshold(scores, is_closed, false_alarm=rate)
    assert (scores[is_closed] >= found).mean() <= rate + 1e-9
    if found > 0:
        lower = np.nextafter(found, -np.inf)
        assert (scores[is_closed] >= lower).mean() > rate - 1e-9


def test_a_stated_rate_moves_the_size_to_where_it_is_kept():
    sizes = np.array([0.1, 0.2, 0.3, 0.4, 0.25, 0.9, 1.0, 1.1])
    is_explicit = np.arange(8) >= 4
    for rate, expected in ((0.0, 0.2), (0.25, 0.4)):
        found = explicit_threshold(sizes, is_explicit, above=0.05, false_alarm=rate)
        assert found == expected
        assert (sizes[is_explicit] <= found).mean() <= rate


@pytest.mark.parametrize("kind", ["trained", "closed-form"])
def test_what_is_to_be_left_alone_closes_the_gate_and_changes_nothing_else(gate, reading, kind):
    free = gate.decide(reading, kind=kind)
    rows = np.arange(len(reading)) % 3 == 0
    reasons = tuple("another language: una" if row else "" for row in rows)
    left = gate.decide(replace(reading, left_alone=reasons), kind=kind)
    assert free.is_open[rows].any()
    assert (left.classes[rows] == "explicit").all()
    assert not left.is_abstained[rows].any()
    for name in ("classes", "is_abstained"):
        np.testing.assert_array_equal(getattr(left, name)[~rows], getattr(free, name)[~rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ja", "zh"])  # in which one letter says the gender
def test_a_gate_of_another_language_decides_by_states_alone(town, gate, pipeline_folder, name):
    assert gate.read(town.encoder, ["una enfermera"]).left_alone == ("another language: una",)
    encoder = TextEncoder.load(pipeline_folder)  # of random weights, a token a byte of any script
    prompts = PromptSet.build(translate(Lexicon.load(), name))
    z = encoder.embed(prompts.prompts)
    pairs = [z[rows] for rows in prompts.pairs()]
    direction = PairDirection().fit(*pairs).result(concept="gender", encoder=encoder.id)
    other = fit_gate(
        encoder, prompts, z, direction=direction, projection=CalibratedProjection().fit(*pairs)
    )
    test = prompts.select(split="test", group=["neutral", "male", "female"])
    reading = other.read(encoder, test.prompts)
    assert (other.is_english, reading.flags, reading.left_alone) == (False, None, ())
    is_open, is_neutral = other.decide(reading).is_open, (test.table["group"] == "neutral")
    assert is_open[is_neutral].mean() > is_open[~is_neutral].mean() + 0.25
