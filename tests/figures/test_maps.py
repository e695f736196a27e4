from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from figures import bias_scores, maps


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_map_has_a_panel_a_method_and_every_prompt_in_each(tables, faithfulness):
    figure = maps.prompt_map(tables["map"], faithfulness)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left") in ("PCA", "UMAP")]
    assert len(panels) == 2
    for axes, method in zip(panels, ("pca", "umap"), strict=True):
        points = np.concatenate([dots.get_offsets() for dots in axes.collections])
        expected = tables["map"][[f"{method}_x", f"{method}_y"]].to_numpy()
        np.testing.assert_allclose(np.sort(points, axis=0), np.sort(expected, axis=0))


def test_neutral_prompts_carry_the_share_of_women_as_colour(tables, faithfulness):
    axes = maps.prompt_map(tables["map"], {"pca": faithfulness["pca"]}).axes[0]
    shares = [dots.get_array() for dots in axes.collections if dots.get_array() is not None]
    neutral = tables["map"].query("group == 'neutral'")["share_women"]
    np.testing.assert_allclose(np.concatenate(shares), neutral)


def test_the_histogram_of_each_group_has_area_one(tables):
    scores = {
        group: rows["projection"].to_numpy() for group, rows in tables["map"].groupby("group")
    }
    figure = bias_scores.projection_histogram(scores)
    outlines = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert len(outlines) == len(scores)
    for outline in outlines:
        x, y = outline.get_xy().T
        assert np.sum(np.diff(x) * y[:-1]) == pytest.approx(1.0)


def test_r_in_the_legend_is_that_of_scipy(tables):
    subjects = tables["subjects"]
    r = pearsonr(subjects["share_women"], subjects["bias_score"]).statistic
    figure = bias_scores.bias_score_against_share(subjects, interval=(-0.97, -0.5))
    minus = "\N{MINUS SIGN}"
    assert f"r = {minus}{abs(r):.2f} [{minus}0.97, {minus}0.50]" in legend_of(figure)


def test_the_regression_line_is_that_of_least_squares():
    share = np.array([0.0, 0.25, 0.5, 1.0])
    subjects = pd.DataFrame(
        {
            "subject": list("abcd"),
            "split": "train",
            "share_women": share,
            "bias_score": 1 - 2 * share,
        }
    )
    line = bias_scores.bias_score_against_share(subjects, interval=(-1, -1)).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), [1.0, -1.0])


def test_each_arrow_joins_the_means_of_an_occupation_before_and_after(tables):
    table = tables["map"]
    arrows = maps.shift_arrows(table).axes[0].collections
    quiver = next(marks for marks in arrows if hasattr(marks, "U"))
    means = table[table["group"] == "neutral"].groupby("subject").mean(numeric_only=True)
    np.testing.assert_allclose(quiver.get_offsets(), means[["pca_x", "pca_y"]])
    np.testing.assert_allclose(quiver.U, means["corrected_x"] - means["pca_x"])
    np.testing.assert_allclose(quiver.V, means["corrected_y"] - means["pca_y"])


def test_a_correction_that_does_nothing_stays_on_the_diagonal(tables):
    same = tables["gate"].assign(bias_score_corrected=tables["gate"]["bias_score"])
    for dots in bias_scores.bias_score_shift(same).axes[0].collections:
        np.testing.assert_allclose(*dots.get_offsets().T)
