import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from figures import bias_scores, maps


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


def test_every_projection_is_a_point_of_its_group_and_the_title_counts_those_beyond_the_objects():
    groups = {"female": [-0.4, -0.3], "neutral": [-0.2, 0.0, 0.3], "object": [-0.1, 0.1]}
    scores = {group: np.array(values) for group, values in groups.items()}
    figure = bias_scores.projection_strips(scores)
    strips = figure.axes[0].collections
    for row, (values, points) in enumerate(zip(scores.values(), strips, strict=True)):
        x, y = points.get_offsets().T
        np.testing.assert_allclose(x, values)
        assert np.all(np.abs(y - row) < 0.5)
    assert "2 of 3 prompts" in figure.get_suptitle().replace("\n", " ").replace("\xa0", " ")


def test_r_in_the_title_is_that_of_scipy(tables):
    subjects = tables["subjects"]
    r = pearsonr(subjects["share_women"], subjects["bias_score"]).statistic
    figure = bias_scores.bias_score_against_share(subjects, interval=(-0.97, -0.5))
    minus = "\N{MINUS SIGN}"
    title = figure.get_suptitle().replace("\n", " ").replace("\xa0", " ")
    assert f"follow the labour market: r = {minus}{abs(r):.2f} [{minus}0.97, {minus}0.50]" in title


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


def test_a_correction_that_does_nothing_moves_no_bias_score(tables):
    same = tables["gate"].assign(bias_score_corrected=tables["gate"]["bias_score"])
    figure = bias_scores.bias_score_shift(same)
    before, after = re.findall(
        r"(\d+) (?:of \d+ before|after)", figure.get_suptitle().replace("\n", " ")
    )
    assert before == after
    means = same[same["group"] == "neutral"].groupby("subject")["bias_score"].mean()
    lines = figure.axes[0].collections[0].get_segments()
    assert sorted(line[0][0] for line in lines) == pytest.approx(sorted(means))
    assert all(line[0][0] == line[1][0] for line in lines)
