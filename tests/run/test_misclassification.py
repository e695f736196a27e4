"""The classifier's errors in a run: taken out by a labelled sample, or bounded."""

import json

import numpy as np
import pytest

from figures.text.sentences import classifier_error
from probe.io.artifacts import read_json, read_table
from probe.run.evaluation.measurement import SIDES, SPLITS

SAMPLE = "true,seen,count\nwoman,woman,95\nwoman,man,5\nman,man,80\nman,woman,20\n"


def test_a_sample_takes_the_errors_out_of_both_sides_and_is_kept_in_the_run(run, tmp_path, done):
    sample = tmp_path / "sample.csv"
    sample.write_text(SAMPLE)
    found = json.loads(done("evaluate", run, "--calibration", sample, "--json"))
    sample.unlink()  # the run has its own
    assert (run / "calibration.csv").read_text() == SAMPLE
    assert found["calibration"]["n"] == 200
    assert found["calibration"]["rates"] == [[0.95, 0.05], [0.2, 0.8]]
    shares = read_table(run / "evaluation/shares.parquet", kind="shares")[0]
    women = shares[(shares["attribute"] == "gender") & (shares["value"] == "woman")]
    truth = {}
    for side, name in SIDES.items():
        rows = women[women["side"] == side].set_index("subject")
        known = found[name]["calibrated"]
        formula = np.clip((rows["share"] - 0.2) / 0.75, 0, 1)
        by_subject = {row["subject"]: row["shares"]["woman"] for row in known["subjects"]}
        assert set(by_subject) == set(rows.index)
        for subject, share in formula.items():
            of = by_subject[subject]
            assert of["value"] == pytest.approx(share)
            assert of["low"] <= of["value"] <= of["high"]
        for part in SPLITS:
            is_in = rows["split"].isin([part] if part != "all" else SPLITS)
            truth[name, part] = np.abs(formula[is_in] - 0.5).mean()
            of, seen = (each if part == "all" else each[part] for each in (known, found[name]))
            assert of["mad"]["value"] == pytest.approx(truth[name, part])
            assert of["mad"]["low"] <= of["mad"]["value"] <= of["mad"]["high"]
            assert of["mad"]["floor"] > seen["mad"]["floor"]
            assert seen["mad"]["value"] == pytest.approx(np.abs(rows["share"][is_in] - 0.5).mean())
    change = found["difference"]["calibrated"]
    for part in SPLITS:
        of = (change if part == "all" else change[part])["mad"]
        assert of["value"] == pytest.approx(truth["corrected", part] - truth["base", part])
        assert of["low"] <= of["value"] <= of["high"]
    told = done("evaluate", run, "--full")
    assert told.startswith("evaluate: skipped (")
    assert "By occupations, trained on: MAD " in told
    assert "; never seen: MAD " in told
    assert "Adjusted for misclassification (200 labelled images): MAD " in told
    for name in ("calibrated.mad", "calibrated.test.mad"):
        kept = done("check", run, "--fail-above", f"{name}=0.5")
        assert f"kept: corrected.{name} = " in kept


def test_without_a_sample_it_is_told_how_large_the_errors_may_be(finished_run, done):
    quality = read_json(finished_run / "evaluation/quality.json", kind="quality")[0]
    assert quality["calibration"] is None
    assert set(quality["difference"]["sensitivity"]) == {"holds_up_to", "holds_up_to_unlike"}
    assert classifier_error(quality) in done("evaluate", finished_run, "--full")


@pytest.mark.slow
def test_a_sample_that_is_missing_or_wrong_is_one_line(run, tmp_path, call, done, refusal):
    before = (run / "evaluation/quality.json").read_bytes()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("true,seen\nwoman,womn\nman,man\n")
    missing = tmp_path / "none.csv"
    for sample, code, message in (
        (missing, 2, "there is no such file"),
        (wrong, 1, "did you mean"),
    ):
        assert message in refusal("evaluate", run, "--calibration", sample, code=code)
        assert not (run / "calibration.csv").exists()
    good = tmp_path / "good.csv"
    good.write_text(SAMPLE)
    done("evaluate", run, "--calibration", good)
    refusal("evaluate", run, "--calibration", wrong)
    assert (run / "calibration.csv").read_text() == SAMPLE
    (run / "calibration.csv").unlink()
    assert "do without by --calibration ''" in call("evaluate", run).stderr
    done("evaluate", run, "--calibration", "")
    assert (run / "evaluation/quality.json").read_bytes() == before
