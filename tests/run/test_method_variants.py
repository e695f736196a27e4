"""Variants of the correction that are compared: their settings, and what makes them stale."""

from pathlib import Path

import pytest

from probe.run import Experiment
from probe.run.compare.methods import all_methods
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.stages import train

VARIANTS = [
    name for name, of in all_methods().items() if name.startswith("moesd-") and not of.through
]


@pytest.fixture
def opened(finished_run: Path) -> Run:
    return Run(finished_run, Config.read(finished_run))


def with_training(run: Run, **settings: object) -> Run:
    return Run(run.folder, run.config.with_settings("train", settings))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_trained_and_other_lessons_make_it_stale(opened, name, monkeypatch):
    made_from = all_methods()[name].made_from
    for place in ("nowhere", "start"):
        assert made_from(with_training(opened, token_place=place))  # its settings are allowed
    before = made_from(opened)
    monkeypatch.setattr(train, "_lessons", lambda: ["other lessons"])
    assert made_from(opened) != before


def test_a_setting_that_a_variant_replaces_does_not_make_it_stale(opened):
    made_from = all_methods()["moesd-recommended"].made_from
    assert made_from(with_training(opened, objective="diffusion")) == made_from(opened)
    assert made_from(with_training(opened, width=5)) != made_from(opened)


@pytest.mark.slow
def test_methods_are_compared_after_a_training_without_token(run):
    names = "moesd", "moesd-paper", "moesd-calibrated", "reweighting"
    experiment = Experiment.open(run)
    experiment.train(token_place="nowhere")
    found = experiment.compare(*names, n_images=2).result.to_json()
    assert [of["name"] for of in found["methods"]] == ["base", *names]
