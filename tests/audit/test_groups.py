"""Groups of counts: along a numeric setting, who changes sides, and who moves away."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main
from probe.audit.failures import signatures
from probe.stats.share_shift import ShareShift

JOBS = ("nurse", "cook", "ceo", "clerk", "mason", "pilot")
SHARES = np.array([0.9, 0.7, 0.2, 0.4, 0.1, 0.3])


def call(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def audited(*arguments):
    result = call(*arguments, "--n-bootstrap", 200, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def names(found, kind):
    return found["signatures"][kind]["subjects"]


@pytest.fixture
def table(tmp_path):
    """One model at three scales, out of order, log-odds doubled each time; and another."""
    rows = ["model,scale,job,n_women,n"]
    for model, scale, slope in (
        ("a", "10", 4.0),
        ("a", "2", 1.0),
        ("a", "5", 2.0),
        ("b", "5", 1.0),
    ):
        shares = ShareShift(slope).apply(np.stack([SHARES, 1 - SHARES], axis=1))[:, 0]
        rows += [
            f"{model},{scale},{job},{round(10**5 * share)},{10**5}"
            for job, share in zip(JOBS, shares, strict=True)
        ]
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(rows))
    return path


def test_a_series_is_compared_with_its_lowest_setting_by_number(table):
    found = audited("--counts", table, "--by", "model", "--along", "scale")
    assert (found["by"], found["along"]) == ("model,scale", "scale")
    places = [(of["series"], of["at"]) for of in found["groups"]]
    assert places == [("a", 2), ("a", 5), ("a", 10), ("b", 5)]
    pairs = [(of["first"], of["second"]) for of in found["differences"]]
    assert pairs == [("a, 2", "a, 5"), ("a, 2", "a, 10")]
    for of, slope in zip(found["differences"], (2, 4), strict=True):
        assert of["shift"]["slope"]["value"] == pytest.approx(slope, rel=0.01)
        assert of["shift"]["error_left_out"] < 1e-3 < of["shift"]["error_unchanged"]
        assert len(names(of, "further")) == len(JOBS)
        assert names(of, "turned") == names(of, "unmoved") == []
    same = audited("--counts", table, "--by", "scale,model", "--along", "scale")
    assert same == found
    assert "log-odds" in call("--counts", table, "--by", "model", "--along", "scale").stdout


def test_too_few_subjects_give_no_slope(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("scale,job,woman,man\n1,x,6,4\n1,y,3,7\n2,x,8,2\n2,y,2,8\n")
    [pair] = audited("--counts", path, "--along", "scale")["differences"]
    assert pair["shift"] is None
    assert "slope" not in call("--counts", path, "--along", "scale").stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--by", "scale", "--along", "model"], 1, "model is 'a'; --along needs a column of num"),
        (["--along", "scal"], 1, "no column 'scal' (did you mean 'scale'?)"),
        (["--along", "scale", "--against", "TABLE"], 2, "--along compares groups of one source"),
        (["--figure", "x.pdf"], 2, "--figure needs --by or --along"),
        (["--by", "model,scale", "--figure", "x.txt"], 2, "needed FILE.pdf, .png or .svg"),
        (["--by", "model,scale", "--figure", "TABLE"], 2, "--figure would overwrite"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_measured(table, options, code, message):
    result = call("--counts", table, *(table if text == "TABLE" else text for text in options))
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_the_figure_is_one_file_with_equal_bytes(table, tmp_path, suffix):
    options = ("--counts", table, "--by", "model,scale", "--n-bootstrap", 50, "--figure")
    first, second = (tmp_path / at / f"counts.{suffix}" for at in ("x", "y"))
    for path in (first, second):
        assert call(*options, path).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    assert list(first.parent.iterdir()) == [first]


def test_signatures_tell_who_turned_who_moved_away_and_who_did_not_move():
    """Counts of 100: what chance could do has no signature."""
    cases = {
        "turned, nearer": (10, 80),
        "turned, further": (30, 95),
        "mirrored": (35, 65),
        "further": (62, 90),
        "nearer": (95, 60),
        "unmoved": (90, 91),
        "fair": (50, 52),
    }
    before, after = np.array(list(cases.values())).T
    n, p = np.full(len(cases), 100), np.array([0, 0, 0, 0, 0, 1.0, 1.0])
    found = signatures(list(cases), (before, after), (n, n), np.full(len(cases), 0.5), p)
    assert {name: of["subjects"] for name, of in found.items()} == {
        "turned": ["turned, nearer", "turned, further", "mirrored"],
        "further": ["turned, further", "further"],
        "unmoved": ["unmoved"],
    }
    assert (found["turned"]["value"], found["turned"]["n"]) == (3 / 7, 7)
    assert (found["unmoved"]["value"], found["unmoved"]["n"]) == (1 / 6, 6)
    men = signatures(list(cases), (n - before, n - after), (n, n), np.full(len(cases), 0.5), p)
    assert men == found


# Published counts


@pytest.mark.real
def test_guidance_moves_real_models_away_from_even_and_turns_no_occupation(real_data):
    table = real_data / "stayfair/counts.csv"
    found = audited("--counts", table, "--by", "model", "--along", "guidance")
    shifts = {of["second"]: of["shift"] for of in found["differences"]}
    published = {"sd15, 7.5": (1.26, 0.033), "sd3-medium, 7.5": (2.22, 0.015)}
    published["flux2-klein, 5"] = (2.78, 0.035)
    for name, (slope, error) in published.items():
        assert shifts[name]["slope"]["value"] == pytest.approx(slope, abs=0.015)
        assert shifts[name]["slope"]["low"] > 1
        assert shifts[name]["error"] == pytest.approx(error, abs=1e-3)
        assert error < shifts[name]["error_left_out"] < shifts[name]["error_unchanged"]
    for of in found["differences"]:
        assert of["low"] > 0
        assert of["p_holm"] < 0.05
        assert names(of, "turned") == []
    assert names(found["differences"][0], "further") == ["teacher", "athlete", "writer", "author"]


@pytest.mark.real
def test_uce_overshoots_and_fair_diffusion_does_not(real_data):
    table, folder = real_data / "stayfair/counts.csv", real_data / "fair_diffusion"
    models = ("--where", "guidance=7.5", "--where", "model=sd15", "--where", "model=sd15+uce")
    found = audited("--counts", table, *models, "--by", "model")
    uce = {
        row["subject"]: row["shares"]["women"]["value"] for row in found["groups"][1]["subjects"]
    }
    assert (uce["doctor"], uce["ceo"]) == (
        pytest.approx(0.98, abs=5e-3),
        pytest.approx(0.21, abs=5e-3),
    )
    [pair] = found["differences"]
    assert {"doctor", "engineer", "mechanic", "pilot"} <= set(names(pair, "turned"))
    assert {"doctor", "engineer"} <= set(names(pair, "further"))
    assert not any("ceo" in names(pair, kind) for kind in pair["signatures"])
    text = call("--counts", table, *models, "--by", "model").stdout
    assert "on the other side of the target: 7 of 29: technician, doctor" in text
    base, edited = (folder / f"results_fairface_{of}_1-5.txt" for of in ("generated", "edited"))
    against = audited("--counts", base, "--against", edited)["against"]
    assert names(against, "turned") == names(against, "further") == []
    assert (
        "skewed, and no change shown: 33 of" in call("--counts", base, "--against", edited).stdout
    )
