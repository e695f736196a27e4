"""The study of intersections, on a small model whose classifier knows three attributes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from figures.drawing import build
from figures.sources import RunFiles
from probe.io.artifacts import read_table
from probe.run import Experiment
from probe.run.config import Config
from probe.run.evaluation.corrected import Seen
from probe.run.folder import Run
from probe.run.studies import stated
from probe.run.studies.intersections import tables
from probe.stats.resampling import Resampling
from probe.text.concepts import load_attributes

PEOPLE = {"gender": ["woman", "man"], "age": ["young", "old"], "skin": ["light", "dark"]}
SUBJECTS = [f"job {i}" for i in range(12)]


@pytest.fixture(scope="module")
def studied(tmp_path_factory, model_folder, small_lexicon) -> Path:
    """A run whose classifier's labels are called otherwise, evaluated and studied."""
    model = shutil.copytree(model_folder, tmp_path_factory.mktemp("three") / "model")
    path = Path(model) / "classifier/config.json"
    config = json.loads(path.read_text())
    names = [f"{name}:{value}" for name, values in PEOPLE.items() for value in values]
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    config["label2id"] = {name: number for number, name in enumerate(names)}
    path.write_text(json.dumps(config))
    folder = tmp_path_factory.mktemp("intersections") / "run"
    experiment = Experiment.create(folder, model=str(model), seed=3, lexicon=small_lexicon)
    experiment.set("train", objective="latent", latent_steps=2).set("fit", n_bootstrap=50)
    experiment.set("generate", n_images=8).set("evaluate", n_bootstrap=50)
    for stage in ("embed", "fit", "train", "generate", "evaluate"):
        getattr(experiment, stage)()
    experiment.study("intersections", n_bootstrap=50)
    return folder


def labels(shares_before, shares_after, n=40, seed=0):
    """Pictures of subjects whose eight cells have these shares, before and after."""
    rng, rows = np.random.default_rng(seed), []
    values = [(g, a, s) for g in PEOPLE["gender"] for a in PEOPLE["age"] for s in PEOPLE["skin"]]
    for side, shares in (("base", shares_before), ("moesd", shares_after)):
        for subject in SUBJECTS:
            for cell in rng.choice(8, size=n, p=shares):
                row = dict(zip(PEOPLE, values[cell], strict=True))
                rows.append({"side": side, "subject": subject, **row})
    return pd.DataFrame(rows)


def test_the_study_measures_pairs_and_all_three_and_asks_for_the_combinations(studied):
    found = Experiment.open(studied).study("intersections")[0]
    assert not found.was_made
    figures = found.to_json()
    names = {"gender x age", "gender x skin", "gender x age x skin"}
    assert set(figures["intersections"]) == names
    for of in figures["intersections"].values():
        assert of["base"]["n"] == of["moesd"]["n"] == 48
    cells, _ = read_table(studied / "evaluation/cells.parquet", kind="cells")
    np.testing.assert_allclose(cells.groupby(["intersection", "side"])["share"].sum(), 1.0)
    adherent, _ = read_table(studied / "evaluation/asked.parquet", kind="asked")
    assert len(adherent) == 2 * 8
    assert (adherent["n"] == tables.N_IMAGES).all()
    assert figures["asked"]["base"]["n"] == 8 * tables.N_IMAGES
    three = figures["intersections"]["gender x age x skin"]["base"]
    assert three["n_small"] == 8  # a fair model would show 6 of 48 images in each
    assert three["worst"] is None
    assert "all 8 cells are too small for any claim" in found.result.summary()
    figure, data = build(RunFiles(studied), "intersections")
    assert len(figure.axes) == 3
    assert len(data) == 2 * (4 + 4 + 8)


def test_prompts_say_every_attribute_in_one_order(studied):
    experiment = Experiment.open(studied)
    run = Run(studied, experiment.config)
    plan = tables.plan_asked(run, PEOPLE).table
    assert plan["prompt"].str.contains("a photo of an old dark-skinned woman working as").any()
    assert plan["prompt"].str.contains("a photo of a young light-skinned man working as").any()
    by_cell = plan.groupby(["asked_gender", "asked_age", "asked_skin"])
    assert by_cell["seed"].apply(tuple).nunique() == 1  # the same noise for every cell
    assert by_cell["subject"].apply(tuple).nunique() == 1


def test_a_correction_that_leaves_old_dark_women_out_is_flagged_and_an_even_one_is_not():
    fair = np.full(8, 1 / 8)
    biased = np.repeat([0.05, 0.20], 4)  # few women, of all kinds alike
    worse = fair + np.array([3, 1, 1, -5, 0, 0, 0, 0]) * 0.02  # no longer alike
    options = {"resampling": Resampling(50, 0)}
    _, found = tables.measure_intersection(labels(biased, fair), PEOPLE, **options)
    assert found["harmed"] == []
    assert found["moesd"]["joint"] < found["base"]["joint"]
    table, found = tables.measure_intersection(labels(fair, worse), PEOPLE, **options)
    assert "woman, old, dark" in [of["cell"] for of in found["harmed"]]
    assert found["moesd"]["worst"]["cell"] == "woman, old, dark"
    assert "woman, old, dark" in found["moesd"]["missing"]
    assert found["base"]["missing"] == []
    assert table["is_harmed"].sum() == len(found["harmed"])


def test_harm_to_another_attribute_is_told_from_no_harm():
    fair = np.full(8, 1 / 8)
    older = np.tile([0.02, 0.02, 0.23, 0.23], 2)  # genders alike, hardly anybody young
    found = tables.harm_to_others(labels(fair, older), PEOPLE, resampling=Resampling(50, 0))
    assert found["age"]["is_harmed"]
    assert found["age"]["value"] > 0.3
    assert not found["skin"]["is_harmed"]
    back = tables.harm_to_others(labels(older, fair), PEOPLE, resampling=Resampling(50, 0))
    assert not back["age"]["is_harmed"]  # another attribute that gains is not harmed


def test_adherence_means_every_attribute_and_small_cells_are_withheld():
    images = pd.DataFrame(
        {
            "side": "base",
            "asked_gender": "woman",
            "asked_age": "old",
            "gender": ["woman"] * 10 + ["man"] * 2,
            "age": ["old"] * 6 + ["young"] * 6,
        }
    )
    table, found = tables.measure_asked(images, {"gender": [], "age": []})
    assert table.loc[0, ["n", "n_adherent", "is_small"]].tolist() == [12, 6, False]
    assert found["base"]["worst"]["share"] == found["base"]["value"] == 0.5
    table, found = tables.measure_asked(images[:9], {"gender": [], "age": []})
    assert table["is_small"].all()
    assert found["base"]["worst"] is None


def test_too_many_combinations_leave_an_attribute_out():
    many = PEOPLE | {"race": list("abcdefg")}
    assert list(tables.largest(many, max_cells=40)) == ["gender", "age", "skin"]
    assert list(tables.largest(many, max_cells=56)) == list(many)


def test_prompts_that_state_an_attribute_keep_it_and_are_corrected_in_another(studied, monkeypatch):
    run, [age] = Run(studied, Config.read(studied)), load_attributes("age")
    others = [(age, Seen("age", {value: value for value in age.values}))]

    def both_sides(run, plan, folder, *, label):
        """See women in all images, half as many after; and every other old person as young."""
        is_even = plan.table.groupby(["subject", "kind"]).cumcount() % 2 == 0
        age = np.where((plan.table["asked"] == "old") & is_even, "young", plan.table["asked"])
        corrected = np.where(is_even, "woman", "man")
        sides = {"base": "woman", "moesd": corrected}
        seen = [plan.table.assign(side=of, gender=sides[of], age=age, key="") for of in sides]
        return pd.concat(seen, ignore_index=True)

    monkeypatch.setattr("probe.run.both_sides.make_both_sides", both_sides)
    monkeypatch.setattr(stated, "_others", lambda run: others)
    made, answer = stated.Stated().compute(run)
    [found] = answer.data.values()
    assert found["kept"]["before"] == found["kept"]["after"] == pytest.approx(5 / 6)
    assert (found["mad"]["before"], found["mad"]["after"]) == (0.5, 0.0)
    assert "a photo of an old nurse" in set(made["stated"]["prompt"])
