"""A planted bias is found where it was planted, and nowhere before; random states carry none."""

import numpy as np
import pandas as pd
import pytest

from probe.errors import DataError, DegenerateDataError
from probe.latent.tracing import (
    COLUMNS,
    MEASURES,
    clearance,
    trace,
    trace_recordings,
    where_it_appears,
)
from probe.latent.tracing.design import make_design
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.recording import Recording

POSITIONS = ("subject", "end")
N_FEATURES = 24


@pytest.fixture(scope="module")
def prompts():
    return PromptSet.build(Lexicon.load())


@pytest.fixture(scope="module")
def said(prompts):
    return prompts.select(group=["male", "female"])


@pytest.fixture(scope="module")
def unsaid(prompts):
    return prompts.select(group="neutral")


@pytest.fixture(scope="module")
def design(said, unsaid):
    return make_design(said, unsaid)


def recording(states):
    return Recording(
        {"residual": states}, {"residual": tuple(range(len(states)))}, POSITIONS, encoder="x"
    )


def synthetic(said, unsaid, *, seed, planted):
    """States of three layers: noise, and a gender and a lean at the planted layer and position."""
    rng = np.random.default_rng(seed)
    shape = (3, 2, N_FEATURES)
    explicit, neutral = (
        rng.normal(size=(len(rows), *shape)).transpose(1, 0, 2, 3) for rows in (said, unsaid)
    )
    axis = rng.normal(size=N_FEATURES)
    axis /= np.linalg.norm(axis)
    if planted is not None:
        layer, position = planted
        sign = np.where(said.table["group"] == "male", 1.0, -1.0)
        lean = 1.0 - 2.0 * unsaid.table["share_women"].to_numpy()
        explicit[layer, :, position] += 4.0 * sign[:, None] * axis
        neutral[layer, :, position] += 4.0 * lean[:, None] * axis
    return recording(explicit), recording(neutral)


@pytest.mark.parametrize("measure", ["accuracy", "gap", "correlation"])
def test_a_planted_bias_is_found_at_its_layer_and_position_only(said, unsaid, design, measure):
    states = synthetic(said, unsaid, seed=0, planted=(1, 1))
    table = trace_recordings(*states, design)
    found = where_it_appears(table, measure=measure)
    assert (found.site, found.layer, found.position) == ("residual", 1, "end")
    assert abs(found.value) > 0.5
    rows = table[table["measure"] == measure]
    assert (clearance(rows) > 0).sum() == 1
    assert f"{measure} first exceeds its control at layer 1" in found.sentence()


def test_random_states_stand_clear_nowhere(said, unsaid, design):
    for seed in range(3):
        table = trace_recordings(*synthetic(said, unsaid, seed=seed, planted=None), design)
        for measure in MEASURES:
            assert where_it_appears(table, measure=measure) is None, (seed, measure)


def test_the_control_task_is_at_chance_for_random_states(said, unsaid, design):
    table = trace_recordings(*synthetic(said, unsaid, seed=4, planted=None), design)
    controls = table[table["measure"] == "accuracy"]["control"]
    # 6 cells of 480 prompts and 3 control tasks: the SD of one control is about 0.02
    np.testing.assert_allclose(controls, 0.5, atol=0.06)
    chance = table[table["measure"] == "correlation"]["control"]
    # E|r| of unrelated shares is sqrt(2 / (pi * 39)) = 0.128
    np.testing.assert_allclose(chance, 0.128, atol=0.015)


def test_selectivity_is_accuracy_less_its_control(said, unsaid, design):
    table = trace_recordings(*synthetic(said, unsaid, seed=0, planted=(2, 0)), design)
    accuracy, selectivity = (table[table["measure"] == m] for m in ("accuracy", "selectivity"))
    difference = (accuracy["value"] - accuracy["control"]).to_numpy()
    np.testing.assert_allclose(selectivity["value"], difference, atol=1e-12)


def test_states_that_know_words_but_no_gender_are_not_selective(said, unsaid, design):
    # Each gendered word has a direction of its own: every split of the words can be read.
    words = pd.factorize(np.array([prompt.split()[4] for prompt in said.prompts]))[0]
    rng = np.random.default_rng(0)
    explicit = 6.0 * np.eye(N_FEATURES)[words] + rng.normal(size=(len(said), N_FEATURES))
    explicit = np.broadcast_to(explicit[None, :, None], (1, len(said), 2, N_FEATURES))
    neutral = rng.normal(size=(1, len(unsaid), 2, N_FEATURES))
    table = trace_recordings(recording(explicit), recording(neutral), design)
    first = table[table["position"] == "end"].set_index("measure")
    assert first["value"]["accuracy"] > 0.95
    assert first["control"]["accuracy"] > 0.95
    assert abs(first["value"]["selectivity"]) < 0.03


def test_gap_is_one_where_gender_is_all_there_is(said, unsaid, design):
    sign = np.where(said.table["group"] == "male", 1.0, -1.0)[None, :, None, None]
    explicit = np.broadcast_to(sign * np.arange(1.0, 1 + N_FEATURES), (1, len(said), 2, N_FEATURES))
    neutral = np.zeros((1, len(unsaid), 2, N_FEATURES))
    table = trace_recordings(recording(explicit), recording(neutral), design)
    rows = table[table["position"] == "end"].set_index("measure")["value"]
    assert rows["gap"] == pytest.approx(1.0)
    assert rows["accuracy"] == 1.0
    assert rows["correlation"] == 0.0  # the neutral states are all the same


def test_counterfactuals_with_the_same_state_are_told_apart_by_nothing(said, unsaid, design):
    # As the end of the text before the first layer: it knows its place, and so the template.
    # The states are float32, and their last digit may say more than it knows.
    rng = np.random.default_rng(0)
    of_pair = rng.normal(size=(said.table["pair"].max() + 1, N_FEATURES))[said.table["pair"]]
    of_pair[(said.table["group"] == "male").to_numpy(), 0] += 1e-7
    explicit = np.broadcast_to(of_pair[None, :, None], (1, len(said), 2, N_FEATURES))
    neutral = rng.normal(size=(1, len(unsaid), 2, N_FEATURES))
    table = trace_recordings(recording(explicit), recording(neutral), design)
    accuracy = table[table["measure"] == "accuracy"]
    assert (accuracy[["value", "low", "high", "control"]] == 0.5).to_numpy().all()
    assert not table[table["measure"] == "gap"]["value"].any()


def test_states_that_never_vary_carry_nothing(said, unsaid, design):
    # Rounding of float32 must not be read as a signal, however well it goes with the prompts.
    rng = np.random.default_rng(0)
    explicit, neutral = (
        (np.arange(1.0, 1 + N_FEATURES) * (1 + 1e-7 * rng.normal(size=(1, len(p), 2, 1))))
        for p in (said, unsaid)
    )
    table = trace_recordings(recording(explicit), recording(neutral), design)
    values = table.groupby("measure")["value"].agg(["min", "max"]).T
    assert (values["accuracy"] == 0.5).all()
    assert not values[["selectivity", "gap", "correlation"]].to_numpy().any()


def test_neither_scale_nor_origin_of_the_states_matters(said, unsaid, design):
    explicit, neutral = synthetic(said, unsaid, seed=1, planted=(1, 0))
    moved = [
        recording(3.0 * part.states["residual"] + np.arange(N_FEATURES))
        for part in (explicit, neutral)
    ]
    table, other = trace_recordings(explicit, neutral, design), trace_recordings(*moved, design)
    pd.testing.assert_frame_equal(table, other)


def test_tinytown_leans_from_its_first_layer_on(prompts):
    table = trace(TextEncoder.load("tinytown"), prompts, sites=["residual"])
    assert tuple(table.columns) == COLUMNS
    assert (table["n"] == 40).all()
    assert not table.isna().to_numpy().any()
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    cells = table.set_index(["measure", "layer", "position"])
    # The words themselves say nothing yet, but for the one that is the gender.
    assert cells["value"]["correlation", 0, "end"] == 0.0
    assert cells["value"]["gap", 0, "person"] > 0.5
    # A causal encoder has read nothing at its start.
    assert (table[table["position"] == "start"]["value"].isin([0.0, 0.5])).all()
    found = where_it_appears(table)
    assert (found.layer, found.position) == (1, "end")
    assert found.high < -0.8
    # No neutral prompt has a person.
    assert ("correlation", 0, "person") not in cells.index


def test_one_pair_of_words_leaves_no_control_task(prompts, unsaid):
    explicit = prompts.select(group=["male", "female"])
    rows = explicit.table["prompt"].str.contains(" man | woman ")
    with pytest.raises(DataError, match="same pair of words; a control task needs at least 2"):
        make_design(PromptSet(explicit.table[rows]), unsaid)


def test_many_pairs_of_words_are_sampled_and_their_tasks_stay_balanced(said, unsaid):
    table, n = said.table.copy(), 20
    words = table["pair"] % n
    table["prompt"] = [
        f"a photo of a {group}{word} working as a {subject}"
        for group, word, subject in zip(table["group"], words, table["subject"], strict=True)
    ]
    table["template"] = "a photo of a {person} working as a {subject}"
    labels = make_design(PromptSet(table), unsaid).labels
    assert labels.shape == (len(table), 64)
    assert len(np.unique(labels, axis=1).T) == 64
    assert not labels.sum(axis=0).any()
    assert (labels[:, 0] == np.where(table["group"] == "male", 1, -1)).all()


def test_occupations_must_be_the_same_on_both_sides_and_have_shares(said, unsaid):
    with pytest.raises(DataError, match="have only explicit or only neutral prompts"):
        make_design(said, unsaid.select(subject=["nurse", "cook"]))
    table = unsaid.table.assign(share_women=np.nan)
    with pytest.raises(DataError, match="'carpenter' has no share of women"):
        make_design(said, PromptSet(table))
    with pytest.raises(DegenerateDataError, match="all 40 occupations have the same share"):
        make_design(said, PromptSet(unsaid.table.assign(share_women=0.5)))
