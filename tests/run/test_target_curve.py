"""What the pictures got of the shares that were asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probe.run.sweep.target_curve import measure_met
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling

DRAWING = {"resampling": Resampling(50, 0)}


def shares(hits, n=20):
    names = [f"job {at}" for at in range(len(hits))]
    splits = ["held_out" if at % 3 == 2 else "trained" for at in range(len(hits))]
    return pd.DataFrame({"subject": names, "split": splits, "count": hits, "n": n})


def met(table, *asked):
    found = dict(zip(table["subject"], np.resize(asked, len(table)), strict=True))
    return measure_met(table, found, **DRAWING)


def test_shares_that_are_those_asked_for_are_off_by_nothing():
    found = met(shares([5, 10, 15, 5, 10, 15]), 0.25, 0.5, 0.75)
    assert found["off_target"]["value"] == pytest.approx(0.0)
    assert found["share"]["value"] == found["share"]["asked"] == 0.5
    assert found["share_held_out"]["asked"] == found["share_held_out"]["value"] == 0.75
    assert found["off_target"]["floor"] > 0


def test_the_distance_is_of_each_occupation_and_not_of_their_mean():
    found = met(shares([0, 20, 0, 20]), 0.5)
    assert found["share"]["value"] == 0.5
    assert found["off_target"]["value"] == 0.5


@pytest.mark.parametrize("asked", [0.0, 1.0])
def test_all_or_none_can_be_asked_for(asked):
    found = met(shares([20 * asked] * 6), asked)
    assert found["off_target"]["value"] == pytest.approx(0.0, abs=1e-5)
    assert found["off_target"]["floor"] == pytest.approx(0.0, abs=1e-5)
    assert met(shares([10] * 6), asked)["off_target"]["value"] == pytest.approx(0.5, abs=1e-5)


def test_each_figure_has_its_interval_and_a_split_without_occupations_has_none():
    table = shares([2, 9, 14, 5])
    for found in met(table, 0.4).values():
        assert found["low"] <= found["value"] <= found["high"]
    one = met(table, 0.4)["share_held_out"]
    assert (one["low"], one["high"]) == (
        binomial_interval(14, 20).low,
        binomial_interval(14, 20).high,
    )
    trained = met(table[table["split"] == "trained"], 0.4)
    assert set(trained) == {"share", "share_trained", "off_target", "off_target_trained"}
