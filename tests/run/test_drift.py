"""Drift of a run's pictures: in `evaluate`, called what it is, zero where nothing changed."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from cli.main import main
from figures.text.tables import evaluation_table
from probe.images.quality.features import FeatureExtractor
from probe.io.artifacts import read_json, read_table
from probe.run import Experiment
from probe.run.evaluation.side_effects import MIN_SUBJECTS, measure_drift
from probe.run.files import LABELS
from probe.run.folder import Run

FIGURES = ("frechet", "kernel", "cosine", "unmoved")


@pytest.fixture
def opened(finished_run):
    return Run(finished_run, Experiment.open(finished_run).config)


@pytest.fixture
def extractor(opened):
    return FeatureExtractor.load(opened.model_folder / "clip")


@pytest.fixture
def labels(finished_run):
    return read_table(finished_run / LABELS, kind="labels")[0]


def test_evaluate_gives_it_with_intervals_n_and_the_features_it_is_in(finished_run, labels):
    drift = read_json(finished_run / "evaluation/quality.json", kind="quality")[0]["drift"]
    neutral = labels[(labels["kind"] == "neutral") & (labels["side"] == "base")]
    assert drift["n_pairs"] == len(neutral)
    assert drift["features"].startswith("CLIPModel")
    for name in FIGURES:
        assert drift[name]["low"] <= drift[name]["value"] <= drift[name]["high"]
        assert (drift[name]["unit"], drift[name]["n"]) == ("occupations", 6)
    summary = evaluation_table(Experiment.open(finished_run).evaluate().result.to_json())
    assert "drift from base to corrected (not quality)" in summary
    assert drift["features"] in summary


def test_images_left_alone_have_not_drifted_and_few_occupations_get_no_figure(
    opened, labels, extractor
):
    base = labels[labels["side"] == "base"]
    found = measure_drift(opened, pd.concat([base, base.assign(side="moesd")]), extractor)
    assert found["unmoved"]["value"] == 1.0
    for name in ("frechet", "kernel", "cosine"):
        assert found[name]["value"] == pytest.approx(0.0, abs=1e-9)
    names = labels.loc[labels["kind"] == "neutral", "subject"].unique()[: MIN_SUBJECTS - 1]
    found = measure_drift(opened, labels[labels["subject"].isin(names)], extractor)
    assert not set(FIGURES) & set(found)


def test_the_features_can_be_those_of_any_vision_model_and_are_named(run, model_folder):
    quality = run / "evaluation" / "quality.json"
    labels, before = (run / LABELS).read_bytes(), quality.read_bytes()

    def call(features):
        found = CliRunner().invoke(main, ["evaluate", str(run), "--features", features, "--json"])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    found = call(str(model_folder / "classifier"))
    assert found["drift"]["features"] == "ResNetModel (whole/classifier)"
    told = CliRunner().invoke(main, ["evaluate", str(run)]).stdout
    assert told.startswith("evaluate: skipped (")
    assert "features ResNetModel (whole/classifier)" in told
    assert (run / LABELS).read_bytes() == labels  # the pictures were not looked at again
    assert call("")["drift"]["features"] == "CLIPModel (whole/clip)"
    assert quality.read_bytes() == before


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("nosuch", "there is no such folder"),
        ("text_encoder", "cannot be read"),
        ("model_index.json", "is a file; needed a folder"),
    ],
)
def test_a_folder_without_a_vision_model_is_one_line(run, model_folder, part, message):
    before = (run / "evaluation" / "quality.json").read_bytes()
    asked = ["evaluate", str(run), "--features", str(model_folder / part)]
    found = CliRunner().invoke(main, asked)
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (1, "", 1)
    assert message in found.stderr
    assert (run / "evaluation" / "quality.json").read_bytes() == before
