"""Variants of the correction that are compared: their settings, and what makes them stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from probe.run import Experiment
from probe.run.compare.methods import all_methods
from probe.run.folder import Run
from probe.run.stages import train

VARIANTS = [name for name in all_methods() if name.startswith("moesd-")]


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Run:
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    return Run(folder, Experiment.open(folder).config)


def with_training(run: Run, **settings: object) -> Run:
    return Run(run.folder, run.config.with_settings("train", settings))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_trained_and_other_lessons_make_it_stale(run, name, monkeypatch):
    made_from = all_methods()[name].made_from
    for place in ("nowhere", "start"):
        assert made_from(with_training(run, token_place=place))  # its settings are allowed
    before = made_from(run)
    monkeypatch.setattr(train, "_lessons", lambda: ["other lessons"])
    assert made_from(run) != before


def test_a_setting_that_a_variant_replaces_does_not_make_it_stale(run):
    made_from = all_methods()["moesd-text"].made_from
    assert made_from(with_training(run, objective="diffusion")) == made_from(run)
    assert made_from(with_training(run, width=5)) != made_from(run)


@pytest.mark.slow
def test_methods_are_compared_after_a_training_without_token(run):
    names = "moesd", "moesd-unet", "moesd-mixture", "moesd-calibrated", "reweighting"
    experiment = Experiment.open(run.folder)
    experiment.train(token_place="nowhere")
    found = experiment.compare(*names, n_images=2).result.to_json()
    assert [of["name"] for of in found["methods"]] == ["base", *names]
