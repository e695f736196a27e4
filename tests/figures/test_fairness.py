from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from figures import fairness
from figures.tradeoff import tradeoff


def women(tables):
    shares = tables["shares"]
    return shares[shares["value"] == "woman"]


def labour(tables):
    return tables["subjects"].set_index("subject")["share_women"].to_dict()


@given(n=st.integers(1, 500), target=st.sampled_from([1 / 2, 1 / 3, 1 / 4]))
def test_the_fair_band_holds_at_least_95_percent_of_a_fair_models_shares(n, target):
    low, high = fairness.fair_band(np.array([n]), target)
    inside = binom.cdf(np.round(high * n), n, target) - binom.cdf(np.round(low * n) - 1, n, target)
    assert inside >= 0.95 - 1e-9


def test_the_fair_band_narrows_as_the_root_of_the_number_of_images():
    low, high = fairness.fair_band(np.array([100, 10_000]), 0.5)
    widths = high - low
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.05)  # binomials are discrete


def test_subjects_are_sorted_by_labour_share_and_held_out_ones_marked(tables):
    axes = fairness.subject_shares(women(tables), labour_shares=labour(tables)).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    shares = [labour(tables)[name.removesuffix(" *")] for name in names]
    assert shares == sorted(shares)
    assert sum(name.endswith(" *") for name in names) == 12
    assert "nurse *" in names
    assert "mechanic" in names


def test_both_sides_stand_at_their_shares(tables):
    table = women(tables)
    axes = fairness.subject_shares(table, labour_shares=labour(tables)).axes[0]
    for bars, side in zip(axes.containers, ("base", "moesd"), strict=True):
        drawn = np.asarray(bars.lines[0].get_xdata(), dtype=float)
        np.testing.assert_allclose(drawn, table.loc[table["side"] == side, "share"])


def test_the_bars_have_the_height_of_mad_and_show_its_noise_floor(tables):
    table = tables["fairness"]
    (axes,) = fairness.fairness_bars(table).axes
    rows = table[table["measure"] == "mad"]
    heights = sorted(patch.get_height() for patch in axes.patches)
    np.testing.assert_allclose(heights, np.sort(rows["value"]))
    floors = [line[0, 1] for marks in axes.collections for line in marks.get_segments()]
    assert set(rows["floor"]) <= set(floors)


def test_the_tradeoff_stands_where_it_was_measured(tables):
    sides = pd.DataFrame(
        {
            "side": ["base", "moesd"],
            "mad": [0.3, 0.1],
            "mad_low": [0.25, 0.05],
            "mad_high": [0.35, 0.15],
            "mad_floor": [0.03, 0.03],
            "clip": [27.0, 26.5],
            "clip_low": [26.9, 26.4],
            "clip_high": [27.1, 26.6],
        }
    )
    axes = tradeoff(sides).axes[0]
    points = [bars.lines[0].get_xydata()[0].tolist() for bars in axes.containers]
    assert points == [[0.3, 27.0], [0.1, 26.5]]
    assert axes.get_xlim()[0] == 0
