"""Groups of counts: along a numeric setting, who changes sides, and who moves away."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main
from probe.stats.share_shift import ShareShift

JOBS = ("nurse", "cook", "ceo", "clerk", "mason", "pilot")
SHARES = np.array([0.9, 0.7, 0.2, 0.4, 0.1, 0.3])


def call(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def audited(*arguments):
    result = call(*arguments, "--n-bootstrap", 200, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def named(pair):
    return {kind: of["subjects"] for kind, of in pair["signatures"].items()}


@pytest.fixture
def table(tmp_path):
    """A model at three scales, out of order, each doubling the log-odds; and another model."""
    rows = ["model,scale,job,n_women,n"]
    for name, slope in (("a,10", 4.0), ("a,2", 1.0), ("a,5", 2.0), ("b,5", 1.0)):
        shares = ShareShift(slope).apply(np.stack([SHARES, 1 - SHARES], axis=1))[:, 0]
        rows += [
            f"{name},{job},{1e5 * share:.0f},100000"
            for job, share in zip(JOBS, shares, strict=True)
        ]
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.mark.slow
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
        assert named(of) == {"turned": [], "further": list(JOBS), "unmoved": []}
    assert found == audited("--counts", table, "--by", "scale,model", "--along", "scale")


def test_two_groups_are_told_apart_by_who_turned_who_moved_away_and_who_did_not_move(tmp_path):
    """100 images each: what chance could do has no signature."""
    cases = {
        "turned and nearer": (10, 80),
        "turned and further": (30, 95),
        "mirrored": (35, 65),
        "further": (62, 90),
        "nearer": (95, 60),
        "unmoved": (90, 91),
        "fair": (50, 52),
    }
    path, rows = tmp_path / "counts.csv", ["scale,job,woman,man"]
    rows += [f"{i},{job},{k[i]},{100 - k[i]}" for job, k in cases.items() for i in (0, 1)]
    path.write_text("\n".join(rows))
    for value in ("woman", "man"):
        [pair] = audited("--counts", path, "--by", "scale", "--value", value)["differences"]
        assert named(pair) == {
            "turned": ["turned and nearer", "turned and further", "mirrored"],
            "further": ["turned and further", "further"],
            "unmoved": ["unmoved"],
        }
        assert [pair["signatures"][of]["n"] for of in ("turned", "unmoved")] == [7, 6]
    path.write_text("\n".join(rows[:5]))  # too few subjects for a slope
    assert audited("--counts", path, "--along", "scale")["differences"][0]["shift"] is None
    assert "0 - 1" not in call("--counts", path, "--along", "scale").stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--by", "scale", "--along", "model"], 1, "model is 'a'; --along needs a column of num"),
        (["--along", "scal"], 1, "no column 'scal' (did you mean 'scale'?)"),
        (["--along", "scale", "--against", "TABLE"], 2, "--along compare groups of one source"),
        (["--figure", "x.pdf"], 2, "--figure needs --by"),
        (["--by", "model,scale", "--figure", "x.txt"], 2, "needed FILE.pdf, .png or .svg"),
        (["--by", "model,scale", "--figure", "TABLE"], 2, "--figure would overwrite"),
    ],
)
def test_wrong_options_are_refused(table, options, code, message):
    result = call("--counts", table, *(table if text == "TABLE" else text for text in options))
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_the_figure_is_one_file_with_equal_bytes(table, tmp_path, suffix):
    options = ("--counts", table, "--by", "model,scale", "--n-bootstrap", 50, "--figure")
    first, second = (tmp_path / at / f"counts.{suffix}" for at in ("x", "y"))
    for path in (first, second):
        path.parent.mkdir()
        assert call(*options, path).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    assert list(first.parent.iterdir()) == [first]


@pytest.mark.slow
@pytest.mark.real
def test_guidance_moves_real_models_away_from_even_and_turns_no_occupation(real_data):
    """And by less than the law of equal priors says, which multiplies log-odds by the guidance."""
    table = real_data / "stayfair/counts.csv"
    found = audited("--counts", table, "--by", "model", "--along", "guidance")
    mads = [0.265, 0.301, 0.175, 0.132, 0.345, 0.433, 0.308, 0.428]
    assert [of["mad"]["value"] for of in found["groups"]] == pytest.approx(mads, abs=5e-4)
    at, shares = {}, {}
    for of in found["groups"]:
        women = np.array([row["shares"]["women"]["value"] for row in of["subjects"]])
        at[of["group"]], shares[of["group"]] = of["at"], np.stack([women, 1 - women], axis=1)
    known = ((1.26, 0.033, 0.113, 0.067), (2.22, 0.015, 0.046, 0.092), (2.78, 0.035, 0.062, 0.142))
    for of, (slope, error, law, unchanged) in zip(found["differences"], known, strict=True):
        assert (of["low"] > 0, of["p_holm"] < 0.05, named(of)["turned"]) == (True, True, [])
        shift, low, high = of["shift"], of["first"], of["second"]
        assert shift["slope"]["value"] == pytest.approx(slope, abs=0.015)
        assert 1 < shift["slope"]["low"] < shift["slope"]["high"] < at[high] / at[low]
        assert shift["error"] == pytest.approx(error, abs=1e-3)
        assert shift["error"] < shift["error_left_out"] < shift["error_unchanged"]
        for slope, expected in ((at[high] / at[low], law), (1.0, unchanged)):
            off = ShareShift(slope).apply(shares[low]) - shares[high]
            assert np.abs(off).mean() == pytest.approx(expected, abs=1e-3)
    assert named(found["differences"][0])["further"] == ["teacher", "athlete", "writer", "author"]


@pytest.mark.real
def test_uce_overshoots_and_fair_diffusion_does_not(real_data):
    where = ("guidance=7.5", "model=sd15", "model=sd15+uce")
    options = ("--counts", real_data / "stayfair/counts.csv", "--by", "model")
    found = audited(*options, *(text for each in where for text in ("--where", each)))
    women = {of["subject"]: of["shares"]["women"]["value"] for of in found["groups"][1]["subjects"]}
    assert [women["doctor"], women["ceo"]] == pytest.approx([0.98, 0.21], abs=5e-3)
    uce = named(found["differences"][0])
    assert len(uce["turned"]) == 7
    assert {"doctor", "engineer"} <= {*uce["turned"]} & {*uce["further"]}
    assert "ceo" not in uce["turned"] + uce["further"] + uce["unmoved"]
    folder = real_data / "fair_diffusion"
    base, edited = (folder / f"results_fairface_{of}_1-5.txt" for of in ("generated", "edited"))
    text = call("--counts", base, "--against", edited, "--n-bootstrap", 50).stdout
    assert "on the other side of the target: 0 of 153\nfurther from the target: 0 of 153" in text
