from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError, ShapeError
from probe.latent.erasure import skew
from probe.moesd.gate import CLASSES, classify_skew, fit_gate, true_classes
from probe.text.prompts import PromptSet


def fit(town, vectors=None, **options):
    return fit_gate(
        town.vectors if vectors is None else vectors,
        town.prompts,
        direction=town.direction,
        projection=town.projection,
        **options,
    )


@given(st.floats(-2, 2), st.floats(0.01, 0.5), st.floats(0.6, 2))
def test_two_thresholds_cut_the_skew_into_four_classes(g, low, high):
    (found,) = classify_skew(np.array([g]), neutral_below=low, explicit_above=high)
    if abs(g) < low:
        assert found == "neutral"
    elif abs(g) > high:
        assert found == "explicit"
    else:
        assert found == ("male-skewed" if g > 0 else "female-skewed")


def test_the_gates_skew_is_the_projections_skew_from_the_midpoint(town):
    gate = fit(town)
    expected = skew(town.vectors, town.direction, town.projection)
    np.testing.assert_allclose(gate.skew(town.vectors), expected - gate.midpoint, atol=1e-6)
    group = town.prompts.table["group"]
    training = town.prompts.table["split"] == "trained"
    means = [gate.skew(town.vectors)[training & (group == g)].mean() for g in ("male", "female")]
    assert sum(means) == pytest.approx(0.0, abs=1e-6)


def test_labels_come_from_construction_and_skew(town):
    skews = np.where(np.arange(len(town.prompts)) % 2, 0.5, -0.5)
    labels = true_classes(town.prompts, skews, neutral_below=0.1)
    group = town.prompts.table["group"].to_numpy()
    assert set(labels[np.isin(group, ["male", "female"])]) == {"explicit"}
    assert set(labels[group == "object"]) == {"neutral"}
    person = group == "neutral"
    assert (labels[person] == np.where(skews[person] > 0, *CLASSES[1:3])).all()


def test_held_out_occupations_change_nothing(town):
    spoiled = town.vectors.copy()
    held_out = (town.prompts.table["split"] == "held_out").to_numpy()
    assert held_out.any()
    spoiled[held_out] = np.random.default_rng(0).normal(size=spoiled[held_out].shape)
    one, two = fit(town), fit(town, spoiled)
    np.testing.assert_array_equal(one.weights, two.weights)
    assert (one.temperature, one.neutral_below, one.explicit_above) == (
        two.temperature,
        two.neutral_below,
        two.explicit_above,
    )


def test_the_trained_gate_learns_what_it_is_shown(town):
    gate = fit(town)
    training = (town.prompts.table["split"] != "held_out").to_numpy()
    truth = true_classes(town.prompts, gate.skew(town.vectors), neutral_below=gate.neutral_below)
    assert (gate.classify(town.vectors) == truth)[training].mean() > 0.9


def test_probabilities_are_a_distribution_and_its_top_is_the_route(town):
    gate = fit(town)
    p = gate.probabilities(town.vectors)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert (np.asarray(CLASSES)[p.argmax(axis=1)] == gate.classify(town.vectors)).all()


def test_a_higher_temperature_is_less_certain_but_routes_alike(town):
    gate = fit(town)
    warm = replace(gate, temperature=10 * gate.temperature)
    assert warm.probabilities(town.vectors).max() < gate.probabilities(town.vectors).max()
    assert (warm.classify(town.vectors) == gate.classify(town.vectors)).all()


def test_vectors_of_another_width_are_refused(town):
    with pytest.raises(ShapeError, match="width"):
        fit(town).skew(np.zeros((2, 5), dtype=np.float32))


def test_prompts_without_gendered_ones_are_refused(town):
    table = town.prompts.table
    rows = np.flatnonzero(~table["group"].isin(["object"]))
    few = replace(town, prompts=PromptSet(table.iloc[rows].reset_index(drop=True)))
    with pytest.raises(DataError, match="neutral"):
        fit_gate(
            town.vectors[rows],
            few.prompts,
            direction=town.direction,
            projection=town.projection,
            neutral_band=0.0,
        )


def test_an_unknown_routing_is_refused(town):
    with pytest.raises(ValueError, match="routing"):
        fit(town, routing="by ear")
