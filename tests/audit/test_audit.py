"""`audit`: published figures, and what the command says."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main
from probe.audit.measures import MEASURES

FIELDS = {"value", "low", "high", "floor", "corrected", "corrected_low", "corrected_high"} | {
    "unit",
    "n",
}
LABELS = "subject,gender,skin,seed\n" + "".join(
    f"{subject},{'woman' if i % share else 'man'},{('light', 'dark', '')[i % 3]},{i}\n"
    for subject, share in (("nurse", 9), ("cook", 2), ("mason", 1))
    for i in range(18)
)


def call(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def audited(*arguments):
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


# Published figures


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "mad", "fd"),
    [("generated_1-5", 0.311, 0.440), ("edited_1-5", 0.105, None), ("laion", 0.258, None)],
)
def test_the_fairness_of_published_counts(real_data, name, mad, fd):
    path = real_data / "fair_diffusion" / f"results_fairface_{name}.txt"
    found = audited("--counts", path, "--n-bootstrap", 100)
    assert found["n_subjects"] == 153
    assert found["mad"]["value"] == pytest.approx(mad, abs=5e-4)
    assert found["mad"]["low"] < mad < found["mad"]["high"]
    if fd:
        assert found["fd"]["value"] == pytest.approx(fd, abs=5e-4)
        # 250 images of each: chance adds next to nothing
        assert found["fd"]["corrected"] == pytest.approx(fd, abs=2e-3)
        assert found["mad"]["floor"] == pytest.approx(0.025, abs=1e-3)


@pytest.mark.real
@pytest.mark.parametrize(
    ("reference", "options", "r", "n"),
    [
        ("winogender/occupations-stats.tsv", ["bls_pct_female", "--value", "woman"], 0.889, 34),
        ("fair_diffusion/results_fairface_laion.txt", ["man"], 0.904, 153),
    ],
)
def test_stable_diffusion_follows_the_labour_market_and_its_training_images(
    real_data, reference, options, r, n
):
    path = real_data / "fair_diffusion" / "results_fairface_generated_1-5.txt"
    chosen = ("--reference", real_data / reference, "--column", *options)
    found = audited("--counts", path, "--n-bootstrap", 100, *chosen)["correlation"]
    assert (found["r"], found["n"]) == (pytest.approx(r, abs=5e-4), n)
    assert 0.7 < found["low"] < r < found["high"] < 1
    assert len(found["missing"]) == 153 - n


# What the command says


def test_one_source_has_its_figures_at_the_top(labels):
    found = audited("--labels", labels)
    for name in MEASURES:
        assert found[name].keys() == FIELDS
    assert (found["attribute"], found["n_subjects"], found["n_images"]) == ("gender", 3, 54)
    assert found["mad"]["value"] == pytest.approx((16 / 18 - 0.5 + 0 + 0.5) / 3)
    by_name = {row["subject"]: row for row in found["subjects"]}
    assert by_name["nurse"]["shares"]["woman"]["value"] == pytest.approx(16 / 18)
    assert found["others"]["skin"]["missing"] == {"total": 18, "undetected": 18}
    bounds = found["others"]["skin"]["bounds"]["mad"]
    assert bounds["low"] <= found["others"]["skin"]["mad"]["value"] <= bounds["high"]


def test_subjects_that_are_unfair_are_named_although_others_are_fair(tmp_path):
    """MAD over three subjects reaches the noise floor, and nothing but that was said."""
    path = tmp_path / "counts.csv"
    path.write_text("subject,woman,man\nnurse,1000,0\nceo,500,500\nx,0,1000\n")
    assert [row["p_holm"] <= 0.05 for row in audited("--counts", path)["subjects"]] == [
        True, False, True,
    ]  # fmt: skip
    lines = call("--counts", path).stdout.splitlines()
    assert "2 of 3 subjects differ" in lines[1]
    assert lines[1].endswith(": nurse, x")


def test_a_target_moves_what_is_fair(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("subject,woman,man\nnurse,30,10\ncook,30,10\n")
    table = tmp_path / "target.csv"
    table.write_text("subject,woman,man\nnurse,0.75,0.25\ncook,0.5,0.5\n")
    for target, mad in {"parity": 0.25, "woman=0.75,man=0.25": 0.0, table: 0.125}.items():
        found = audited("--counts", path, "--target", target)
        assert found["mad"]["value"] == pytest.approx(mad)


@pytest.mark.parametrize(
    ("rows", "value", "message"),
    [
        ("Nurse,0.9\npilot,0.1\n", "woman", "1 of 3 subjects"),
        ("nurse,0.9\ncook,0.4\nmason,0.1\n", "women", "not 'women'; say with --value whose"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(labels, tmp_path, rows, value, message):
    path = tmp_path / "market.csv"
    path.write_text("subject,share\n" + rows)
    result = call("--labels", labels, "--reference", path, "--value", value)
    assert result.exit_code == 1
    assert message in result.stderr


def test_the_same_seed_gives_the_same_bytes(labels):
    assert call("--labels", labels, "--json").stdout == call("--labels", labels, "--json").stdout
    text = call("--labels", labels, "--attribute", "skin").stdout
    assert "no value in 18 images" in text


def test_the_table_of_shares_runs_nothing_in_a_spreadsheet(tmp_path):
    path, table = tmp_path / "labels.csv", tmp_path / "shares.csv"
    path.write_text('subject,gender\n"=HYPERLINK(""x"",""y"")",@man\n"a ""b"", c",woman\n')
    assert call("--labels", path, "--table", table).exit_code == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["subject"] for row in rows[::2]] == ['\'=HYPERLINK("x","y")', 'a "b", c']
    assert [row["value"] for row in rows[:2]] == ["'@man", "woman"]
    assert [row["count"] for row in rows] == ["1", "0", "0", "1"]


# Pictures


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for subject in ("nurse", "cook"):
        (folder / subject).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 255, size=(16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / subject / f"{i}.png")
    return folder


def test_pictures_are_seen_by_any_classifier(pictures, model_folder):
    found = audited("--images", pictures, "--classifier", model_folder)
    assert (found["source"], found["attribute"], found["n_images"]) == ("pictures", "gender", 12)
    assert found["values"] == ["woman", "man"]
    assert "others" not in found  # `subject` is no trait of a person


def test_pictures_are_seen_by_any_clip(pictures, clip_folder, tmp_path):
    seen = ("--images", pictures, "--clip", clip_folder, "--attribute", "gender")
    found = audited(*seen, "--values", "woman,man", "--min-confidence", 0.0)
    assert found["values"] == ["woman", "man"]
    assert found["n_images"] + found["missing"]["total"] == 12


def test_it_must_be_clear_who_looks(pictures, clip_folder, labels):
    result = call("--images", pictures)
    assert result.exit_code == 2
    assert "needed either --classifier FOLDER, or --clip FOLDER" in result.stderr
    result = call("--images", pictures, "--clip", clip_folder)
    assert "--clip needs --values" in result.stderr
    assert call("--labels", labels, "--min-confidence", 0.5).exit_code == 2


# Errors of the classifier, a second source, and numbers


def test_errors_of_the_classifier_are_taken_out_or_bounded(tmp_path):
    counts, sample = tmp_path / "counts.csv", tmp_path / "sample.csv"
    counts.write_text("subject,woman,man\nnurse,180,20\ncook,170,30\njudge,60,140\nmason,40,160\n")
    sample.write_text("true,seen,count\nwoman,woman,95\nwoman,man,5\nman,man,80\nman,woman,20\n")
    plain = audited("--counts", counts)
    assert plain["sensitivity"]["holds_up_to"] > 0
    found = audited("--counts", counts, "--calibration", sample)["calibrated"]
    shares = (np.array([0.9, 0.85, 0.3, 0.2]) - 0.2) / 0.75
    assert found["mad"]["value"] == pytest.approx(np.abs(shares - 0.5).mean())
    assert found["n"] == 200
    text = call("--counts", counts, "--calibration", sample).stdout
    assert "adjusted for misclassification (200 labelled images)" in text


def test_a_second_source_is_compared_over_subjects_and_seeds(labels, tmp_path):
    other = tmp_path / "other.csv"
    lines = LABELS.replace("nurse,woman", "nurse,man").replace("cook", "chef")
    other.write_text(lines)
    found = audited("--labels", labels, "--against", other, "--value", "woman")["against"]
    assert found["missing"] == ["cook", "chef"]
    by_name = {row["subject"]: row for row in found["subjects"]}
    assert by_name["nurse"]["n_pairs"] == 18
    assert by_name["nurse"]["p"] == pytest.approx(2 * 0.5**16)
    assert by_name["nurse"]["p_holm"] == pytest.approx(2 * by_name["nurse"]["p"])
    assert by_name["mason"]["p"] == 1.0
    assert found["difference"]["mad"]["value"] == pytest.approx((0.5 - (16 / 18 - 0.5)) / 2)
    text = call("--labels", labels, "--against", other).stdout
    assert "not shown to be equivalent" in text
    assert "in one of the two only: cook, chef" in text


def test_numbers_of_pictures_and_subjects_are_planned_without_a_source(labels):
    planned = ["power", "--difference", "0.1"]
    found = json.loads(CliRunner().invoke(main, [*planned, "--json"]).stdout)
    assert 194 <= found["images_per_subject"] <= 215
    needed = [row["n_subjects"] for row in found["subjects"]]
    assert needed == sorted(needed, reverse=True)
    assert "images of one subject" in CliRunner().invoke(main, planned).stdout
    assert call("--labels", labels, "--margin", 0.1).exit_code == 2
