"""Side effects: comparable quality, said only where it is shown, and drift of the images."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from figures.text.sentences import equivalence
from figures.text.tables import evaluation_table
from probe.errors import DegenerateDataError
from probe.images.quality.features import FeatureExtractor
from probe.io.artifacts import read_json, read_table
from probe.run import Experiment
from probe.run.evaluation.measurement import Measurement
from probe.run.evaluation.side_effects import (
    CAPTIONS,
    MIN_SUBJECTS,
    comparable_quality,
    measure_drift,
)
from probe.run.files import LABELS
from probe.run.folder import Run
from probe.stats.equivalence import equivalence_p
from probe.stats.resampling import Resampling

MARGINS = {"clip_margin": 1.0, "recognition_margin": 0.05}


COLUMNS = ["side", "kind", "subject", "subject_seen", "clip_score", "gender"]
ASKED = {"female": "woman", "male": "man"}


def measurement(rows, asked=ASKED):
    table = pd.DataFrame(rows, columns=COLUMNS)
    return Measurement(table, {"gender": ["woman", "man"]}, "gender", asked, Resampling(500))


def measured(change, n_subjects=12, noise=0.2):
    """Base scores of 25 and corrected ones of 25 + change, a little otherwise by subject."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in map(str, range(n_subjects)):
        moved = change + rng.normal(0, noise)
        for side, score in (("base", 25.0), ("moesd", 25.0 + moved)):
            for index in range(4):
                seen = subject if side == "base" or index else "other"
                rows.append((side, "neutral", subject, seen, score + index, "woman"))
            rows.append((side, "object", subject, subject, 99.0 if side == "base" else 0.0, None))
    return measurement(rows, asked={})


def test_a_small_planted_change_is_equivalent_and_a_large_one_is_not():
    small = comparable_quality(measured(-0.3), **MARGINS)
    large = comparable_quality(measured(-1.5), **MARGINS)
    assert small["clip_score"]["value"] == pytest.approx(-0.3, abs=0.2)
    assert small["clip_score"]["p_equivalent"] < 0.001
    assert large["clip_score"]["p_equivalent"] > 0.9
    # one picture of four is taken for another subject in every subject: all alike, and too much
    assert small["subject_recognised"]["value"] == pytest.approx(-0.25)
    assert small["subject_recognised"]["p_equivalent"] == 1.0
    assert small["subject_recognised"]["n"] == 12


def test_no_difference_found_is_not_equivalence():
    found = comparable_quality(measured(0.0, n_subjects=3, noise=3.0), **MARGINS)["clip_score"]
    assert found["low"] < 0 < found["high"]
    assert found["p_equivalent"] > 0.05
    told = equivalence({"difference": {"clip_score": found}})
    assert "not shown to be equivalent within 1.00" in told


def test_a_scorer_that_expects_a_gender_is_told_apart_from_worse_pictures():
    """Corrected pictures show as many women as men, whom the scorer rates 4 points lower."""
    rng = np.random.default_rng(0)
    rows = [
        (side, "neutral", subject, subject, 70.0 - 4 * (index < n_women) + rng.normal(0, 0.1), who)
        for subject in map(str, range(12))
        for side, n_women in (("base", 2), ("moesd", 5))
        for index in range(10)
        for who in ["woman" if index < n_women else "man"]
    ]
    measured = measurement(rows, asked={})
    change = comparable_quality(measured, **MARGINS)
    like = change["clip_score_like_for_like"]
    assert change["clip_score"]["value"] == pytest.approx(-1.2, abs=0.1)
    assert change["clip_score"]["p_equivalent"] > 0.5
    assert like["low"] < 0 < like["high"]
    assert like["p_equivalent"] < 0.001
    assert like["composition"]["value"] == pytest.approx(-1.2, abs=0.1)
    missing = measured.labels.assign(gender="undetected", clip_score=0.0)
    both = replace(measured, labels=pd.concat([measured.labels, missing]))
    assert comparable_quality(both, **MARGINS)["clip_score_like_for_like"] == like


def of_all_kinds(of_neutral, of_explicit, of_objects, n_subjects=12, n_objects=8):
    """Scores of 60 on both sides, and what the corrected ones gain, with some noise."""
    rng = np.random.default_rng(0)
    rows = []
    for kind, change, n in (
        ("neutral", of_neutral, n_subjects),
        ("female", of_explicit, n_subjects),
        ("male", of_explicit, n_subjects),
        ("object", of_objects, n_objects),
    ):
        for number in range(n):
            subject = f"{'thing' if kind == 'object' else 'job'} {number}"
            gain = change + (change != 0) * rng.normal(0, 0.1)
            for side, score in (("base", 60.0), ("moesd", 60.0 + gain)):
                rows += [(side, kind, subject, subject, score, "woman")] * 2
    return measurement(rows)


def change_over_captions(measured, **options):
    return comparable_quality(measured, **(MARGINS | options)).get("clip_score_of_captions")


def test_over_captions_of_all_kinds_each_counts_as_often_as_it_comes():
    found = change_over_captions(of_all_kinds(-3.0, 0.5, 1.0))
    shares = np.array(list(CAPTIONS.values())) / 30_000
    assert sum(CAPTIONS.values()) == 30_000
    assert found["value"] == pytest.approx(shares @ [-3.0, 0.5, 1.0], abs=0.05)
    assert list(found["kinds"].values()) == pytest.approx(shares)
    assert (found["n"], found["n_objects"]) == (12, 8)


def test_prompts_that_are_left_alone_change_nothing_and_have_no_spread():
    measured = of_all_kinds(-3.0, 0.0, 0.0)
    found = change_over_captions(measured)
    alone = comparable_quality(measured, **MARGINS)["clip_score"]
    share = CAPTIONS["neutral"] / 30_000
    for end in ("value", "low", "high"):
        assert found[end] == pytest.approx(share * alone[end])
    # 8 objects that do not change are 8 signs
    assert found["p_equivalent"] == 2.0**-8
    assert change_over_captions(measured, clip_margin=0.4)["p_equivalent"] > 2.0**-8


def test_captions_of_kinds_that_were_not_drawn_are_not_spoken_of():
    measured = of_all_kinds(-3.0, 0.5, 1.0)
    for kinds in (["object"], ["female", "male"]):
        kept = measured.labels[~measured.labels["kind"].isin(kinds)]
        assert change_over_captions(replace(measured, labels=kept)) is None


def test_a_single_subject_is_not_tested():
    assert comparable_quality(measured(0.0, n_subjects=1), **MARGINS) == {}
    assert equivalence({"difference": {}}) == ""
    with pytest.raises(DegenerateDataError, match="at least 2"):
        equivalence_p(np.zeros(1), 0.05)


def test_it_is_two_one_sided_t_tests():
    rows = np.random.default_rng(1).normal(0.2, 1.0, 20)
    expected = max(
        ttest_1samp(rows, -0.5, alternative="greater").pvalue,
        ttest_1samp(rows, 0.5, alternative="less").pvalue,
    )
    assert equivalence_p(rows, 0.5) == pytest.approx(expected)
    with pytest.raises(ValueError, match="margin is 0"):
        equivalence_p(rows, 0.0)


@pytest.mark.parametrize("n", [2, 4, 12])
def test_differences_that_are_all_nothing_are_as_many_signs(n):
    """p was 0 when nothing differed in two subjects."""
    assert equivalence_p(np.zeros(n), 0.05) == 2.0**-n
    assert equivalence_p(np.full(n, 0.06), 0.05) == 1.0
    nearly = np.linspace(-1e-6, 1e-6, n)
    assert equivalence_p(nearly, 0.05) >= 2.0**-n
    assert equivalence_p(np.zeros(20), 0.05, others=np.zeros(n)) == 2.0**-n


def test_of_a_sum_of_two_means_they_are_welchs():
    rng = np.random.default_rng(1)
    rows, others = rng.normal(0.2, 1.0, 20), rng.normal(-0.1, 3.0, 9)
    expected = max(
        ttest_ind(rows, -others - 0.5, equal_var=False, alternative="greater").pvalue,
        ttest_ind(rows, -others + 0.5, equal_var=False, alternative="less").pvalue,
    )
    assert equivalence_p(rows, 0.5, others=others) == pytest.approx(expected)
    assert equivalence_p(rows, 0.5, others=np.zeros(9)) == pytest.approx(equivalence_p(rows, 0.5))


# Drift


DRIFT = ("frechet", "kernel", "cosine", "unmoved")


@pytest.fixture
def labels(finished_run):
    return read_table(finished_run / LABELS, kind="labels")[0]


def test_evaluate_gives_it_with_intervals_n_and_the_features_it_is_in(finished_run, labels):
    drift = read_json(finished_run / "evaluation/quality.json", kind="quality")[0]["drift"]
    neutral = labels[(labels["kind"] == "neutral") & (labels["side"] == "base")]
    assert drift["n_pairs"] == len(neutral)
    assert drift["features"].startswith("CLIPModel")
    for name in DRIFT:
        assert drift[name]["low"] <= drift[name]["value"] <= drift[name]["high"]
        assert (drift[name]["unit"], drift[name]["n"]) == ("occupations", 6)
    summary = evaluation_table(Experiment.open(finished_run).evaluate().result.to_json())
    assert "drift from base to corrected (not quality)" in summary
    assert drift["features"] in summary


def test_images_left_alone_have_not_drifted_and_few_occupations_get_no_figure(finished_run, labels):
    opened = Run(finished_run, Experiment.open(finished_run).config)
    extractor = FeatureExtractor.load(opened.model_folder / "clip")
    base = labels[labels["side"] == "base"]
    found = measure_drift(opened, pd.concat([base, base.assign(side="moesd")]), extractor)
    assert found["unmoved"]["value"] == 1.0
    for name in ("frechet", "kernel", "cosine"):
        assert found[name]["value"] == pytest.approx(0.0, abs=1e-9)
    names = labels.loc[labels["kind"] == "neutral", "subject"].unique()[: MIN_SUBJECTS - 1]
    found = measure_drift(opened, labels[labels["subject"].isin(names)], extractor)
    assert not set(DRIFT) & set(found)


@pytest.mark.slow
def test_the_features_can_be_those_of_any_vision_model_and_are_named(run, model_folder, done):
    quality = run / "evaluation" / "quality.json"
    labels, before = (run / LABELS).read_bytes(), quality.read_bytes()

    def drift(features):
        return json.loads(done("evaluate", run, "--features", features, "--json"))["drift"]

    assert drift(model_folder / "classifier")["features"] == "ResNetModel (whole/classifier)"
    told = done("evaluate", run, "--full")
    assert told.startswith("evaluate: skipped (")
    assert "features ResNetModel (whole/classifier)" in told
    assert (run / LABELS).read_bytes() == labels  # the pictures were not looked at again
    assert drift("")["features"] == "CLIPModel (whole/clip)"
    assert quality.read_bytes() == before
