"""The measurement of experts after a training: images of each, and what a classifier sees."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from probe.run import measured_experts, teaching
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.stages.train import Train, train_correction
from probe.run.teaching import was_taught

SKINS = ("light", "tan", "brown", "dark")


def skin_run(folder, **settings):
    config = Config.read(folder)
    chosen = {"attributes": "skin_tone", "objective": "counterfactual", **settings}
    train = replace(config.train, **{"latent_steps": 2, "shown_images": 0, **chosen})
    return Run(folder, Config(config.model, {**config.tables, "train": train}))


@pytest.mark.parametrize(("split", "least"), [("train", 9), ("validation", 1)])
def test_experts_are_measured_by_images_of_occupations_that_taught_nothing_if_there_are_enough(
    run, monkeypatch, split, least
):
    def label(files):
        """See what was asked for, but dark for brown, and another occupation for tan."""
        rows = []
        for file in files:
            value = file.stem.removeprefix("toward-").rsplit("-", 1)[0]
            seen = "dark" if value == "brown" else value
            rows.append({"skin": seen, "subject": "" if value == "tan" else file.parent.name})
        return pd.DataFrame(rows)

    seen = SimpleNamespace(attributes={"skin": SKINS, "subject": ["nurse"]}, label=label)
    monkeypatch.setattr(measured_experts.evaluators, "load_whole_classifier", lambda *_: seen)
    monkeypatch.setattr(measured_experts, "N_SUBJECTS", least)
    of = skin_run(run, measured_images=2)
    moesd = measured_experts.measure_experts(of, train_correction(of))
    expected = np.eye(4)[[0, 1, 3, 3]]
    expected[1] = 0
    n_training, n = (len(of.lexicon.occupations_of(name)) for name in ("train", split))
    measured = moesd.measured["skin_tone"]
    np.testing.assert_array_equal(measured.shares, [expected] * n)
    assert n_training * 2 <= measured.n_images * n < n_training * 2 + n
    assert not (run / "moesd" / "measured").exists()


def test_of_several_attributes_the_cells_are_measured(run, monkeypatch):
    def label(files):
        cells = [
            file.stem.removeprefix("toward-").rsplit("-", 1)[0].split(" and ") for file in files
        ]
        seen = pd.DataFrame(cells, columns=["gender", "skin"])
        return seen.assign(gender=seen["gender"].map({"female": "woman", "male": "man"}))

    seen = SimpleNamespace(attributes={"gender": ["man", "woman"], "skin": SKINS}, label=label)
    monkeypatch.setattr(measured_experts.evaluators, "load_whole_classifier", lambda *_: seen)
    of = skin_run(run, measured_images=1, attributes="gender,skin_tone")
    measured = measured_experts.measure_experts(of, train_correction(of)).measured
    n_training = len(of.lexicon.occupations_of("train"))
    found = measured["gender and skin_tone"]
    np.testing.assert_array_equal(found.shares, [np.eye(8)] * n_training)


def test_the_measurement_is_asked_for_and_its_inputs_are_in_the_hash_of_the_training(run):
    def made_from(**settings):
        return Train().made_from(skin_run(run, **settings))

    of_gender = skin_run(run, attributes="gender")
    assert measured_experts.measured_from(of_gender) == ""
    assert not skin_run(run, measured_images=0).config.train.is_measured
    keeping = skin_run(run, attributes="gender", keep="age", shown_images=8).config.train
    assert keeping.is_measured
    assert (keeping.router, of_gender.config.train.router) == ("minimal", "bernoulli")
    variants = [{}, {"measured_images": 0}, {"measured_images": 1}]
    assert len({made_from(**settings) for settings in variants}) == 3


def test_training_says_that_the_classifier_could_not_teach(finished_run, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    of = skin_run(folder, shown_images=8, measured_images=0)
    assert was_taught(of) is False
    monkeypatch.setattr(teaching, "teacher_of", lambda _: None)
    Train().make(of)
    assert "go as far as their words: the classifier" in Train().result(of).text
    assert "go as far" not in Train().result(skin_run(folder, measured_images=0)).text
