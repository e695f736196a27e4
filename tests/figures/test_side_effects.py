"""Figures of side effects: the CLIP score, and who else changed."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgba

from figures.drawing import build, drawable
from figures.side_effects import clip_change, other_changes
from figures.sources import RunFiles
from figures.style import MAN, WOMAN
from probe.io.artifacts import read_json, write_json


def change(shown: str, within: str, value: float, p: float = 0.01):
    sizes = {"low": value - 0.03, "high": value + 0.03, "before": 0.4, "after": 0.4 + value}
    return {
        "attribute": "age",
        "shown": shown,
        "within": within,
        "value": value,
        "p_holm": p,
    } | sizes


def test_every_change_stands_at_its_points_and_women_and_men_have_their_colours():
    values = {"": 0.02, "woman": 0.05, "man": -0.01}
    changes = [change(shown, *of) for shown in ("old", "young") for of in values.items()]
    figure = other_changes([*changes, change("middle-aged", "", -0.13)])
    axes = figure.axes[0]
    drawn = {of.get_label(): of for of in axes.collections if of.get_label()[0] != "_"}
    for label, group in (("among women", "woman"), ("among men", "man")):
        np.testing.assert_allclose(drawn[label].get_offsets()[:, 0], 100 * values[group])
    colors = [drawn[f"among {of}"].get_facecolor()[0] for of in ("women", "men")]
    np.testing.assert_allclose(colors, [[*to_rgba(WOMAN)], [*to_rgba(MAN)]])
    title = figure.get_suptitle().replace("\n", " ").replace("\xa0", " ")
    assert title == "Largest change of another attribute: age middle-aged, 40 % → 27 %"
    chance = other_changes([change("old", "", 0.01, p=0.6), change("old", "woman", 0.01)])
    assert chance.get_suptitle().endswith("within chance")


def test_a_point_a_job_stands_at_the_change_of_its_clip_score():
    table = pd.DataFrame(
        {"images": "all", "subject": list("abcd"), "change": [-3.0, 0.5, 0.0, 1.0]}
    )
    means = {"all": {"value": -0.4, "low": -1.0, "high": 0.2, "margin": 1.0}}
    figure = clip_change(table, means=means)
    assert sorted(figure.axes[0].collections[0].get_offsets()[:, 0]) == [-3.0, 0.0, 0.5, 1.0]
    assert "−0.4 among all images" in figure.get_suptitle().replace("\n", " ")  # noqa: RUF001


def test_a_figure_is_left_out_if_what_it_shows_was_not_measured(run):
    files = RunFiles(run)
    named = {"other_attributes", "clip_change"}
    assert named < set(drawable(files))
    quality, made = read_json(files.path("quality"), kind="quality")
    del quality["difference"]["clip_score"]  # as of a single occupation
    write_json(files.path("quality"), quality | {"other_attributes": None}, made)
    assert not named & set(drawable(RunFiles(run)))


def test_the_changes_of_a_run_are_those_of_its_labels(run):
    files = RunFiles(run)
    _, data = build(files, "clip_change")
    labels = files.table("labels").query("kind == 'neutral'")
    means = labels.groupby(["side", "subject"])["clip_score"].mean()
    own = data[data["images"] == "all"].set_index("subject")["change"]
    np.testing.assert_allclose(own, (means["moesd"] - means["base"])[own.index])
    assert set(data["images"]) == {"all", "same-gender"}
