"""The release gate: which end decides, where figures are found, and what a policy may hold."""

import json
import shutil
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from cli.main import main
from probe.audit.release_gate import ABOVE, BELOW, Bound, check_bounds, read_policy, write_junit
from probe.errors import DataError

FIGURE = {"value": 0.10, "low": 0.08, "high": 0.14, "floor": 0.03}
SOURCE = {
    "mad": FIGURE,
    "bounds": {"mad": {"low": 0.05, "high": 0.4, "most": 0.5}},
    "missing": {"total": 0},
}
RUN = {
    "base": {"mad": FIGURE | {"high": 0.5}},
    "corrected": {"mad": FIGURE, "test": {"mad": FIGURE | {"high": 0.2}}},
}
COUNTS = "subject,woman,man\nnurse,24,16\ncook,18,22\nmason,17,23\njudge,19,21\n"


def call(*arguments):
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def call_on_counts(path, *bounds):
    """Audit a file of counts, and check what was printed."""
    audited = CliRunner().invoke(main, ["audit", "--counts", str(path), "--json"])
    assert audited.exit_code == 0, audited.output
    return CliRunner().invoke(main, ["check", "-", *map(str, bounds)], input=audited.stdout)


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(COUNTS)
    return path


@pytest.mark.parametrize(
    ("side", "limit", "is_kept"),
    [(ABOVE, 0.14, True), (ABOVE, 0.139, False), (BELOW, 0.08, True), (BELOW, 0.09, False)],
)
def test_the_end_that_could_break_the_bound_decides(side, limit, is_kept):
    [verdict] = check_bounds(SOURCE, [Bound("mad", limit, side)])
    assert verdict.is_kept is is_kept
    assert verdict.line().startswith("kept" if is_kept else "FAILED")


def test_in_a_run_the_corrected_model_is_meant():
    bounds = [Bound(name, 0.15) for name in ("mad", "base.mad", "test.mad")]
    verdicts = check_bounds(RUN, bounds)
    assert [verdict.figure for verdict in verdicts] == [
        "corrected.mad",
        "base.mad",
        "corrected.test.mad",
    ]
    assert [verdict.is_kept for verdict in verdicts] == [True, False, False]


@pytest.mark.parametrize(("side", "worst"), [(ABOVE, 0.14 + 0.3), (BELOW, 0.08 - 0.05)])
def test_the_limit_is_moved_by_what_missing_labels_could_change(side, worst):
    source = SOURCE | {"missing": {"total": 7}, "calibrated": {"mad": FIGURE}}
    [verdict] = check_bounds(source, [Bound("mad", 0.14, side)])
    assert (verdict.worst, verdict.is_kept) == (pytest.approx(worst), False)
    assert "whatever the 7 images without a label show" in verdict.line()
    with pytest.raises(ValueError, match=r"nothing bounds what calibrated.mad would be"):
        check_bounds(source, [Bound("calibrated.mad", 0.2)])


def test_in_a_run_missing_labels_are_counted_by_side_and_split():
    bounds = {"mad": {"low": 0.1, "high": 0.1}, "test": {"mad": {"low": 0.05, "high": 0.3}}}
    run = RUN | {"missing": {"corrected": {"total": 2, "bounds": bounds}, "base": {"total": 0}}}
    verdicts = check_bounds(run, [Bound(name, 0.5) for name in ("mad", "test.mad", "base.mad")])
    assert [verdict.worst for verdict in verdicts] == pytest.approx([0.14, 0.4, 0.5])


def test_images_that_nobody_labelled_do_not_pass_the_gate(tmp_path):
    """4,000 of 4,400 images of each subject without a label: MAD is anything from 0 to 0.455."""
    path = tmp_path / "counts.csv"
    path.write_text("subject,woman,man,undetected\n" + "nurse,200,200,4000\ncook,190,210,4000\n")
    result = call_on_counts(path, "--fail-above", "mad=0.2", "--json")
    assert result.exit_code == 3
    [verdict] = json.loads(result.stdout)["gate"]
    assert (verdict["high"] < 0.2, verdict["worst"]) == (True, 0.5)


def test_a_figure_that_is_not_there_is_no_pass():
    with pytest.raises(
        ValueError, match=r"no figure 'mat' \(did you mean 'mad'\?\); known are mad"
    ):
        check_bounds(SOURCE, [Bound("mat", 1.0)])
    with pytest.raises(ValueError, match=r"no figure .bounds\.mad."):
        check_bounds(SOURCE, [Bound("bounds.mad", 1.0)])


@pytest.mark.parametrize("text", ["mad", "mad=", "mad=low", "mad=nan", "mad=inf", "0.15"])
def test_a_bound_is_a_figure_and_a_number(text):
    with pytest.raises(ValueError, match=r"needed a figure and a number, as in mad=0\.15"):
        Bound.parse(text)


def test_a_policy_holds_bounds_of_both_kinds(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(
        '[fail_above]\nmad = 0.15\n"test.mad" = 0.25\n[fail_above.base]\nfd = 1\n'
        "[fail_below]\nexplicit_adherence = 0.9\n"
    )
    assert read_policy(path) == [
        Bound("mad", 0.15),
        Bound("test.mad", 0.25),
        Bound("base.fd", 1.0),
        Bound("explicit_adherence", 0.9, BELOW),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no bound"),
        ("[fail_abov]\nmad = 1\n", r"fail_abov is unknown \(did you mean 'fail_above'\?\)"),
        ("fail_above = 3\n", "needed a table"),
        ("[fail_above]\nmad = nan\n", "needed a number"),
    ],
)
def test_a_policy_that_says_nothing_clear_is_refused(tmp_path, text, message):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_policy(path)


def test_junit_has_a_test_case_a_bound(tmp_path):
    path = tmp_path / "gate.xml"
    verdicts = check_bounds(SOURCE, [Bound("mad", 0.2), Bound("mad", 0.1)])
    write_junit(path, verdicts, source='<my> "model" & \x00 co')
    suite = ElementTree.parse(path).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    kept, failed = suite.findall("testcase")
    assert kept.get("classname") == r'<my> "model" & \u0000 co'
    assert kept.find("failure") is None
    assert "needed at most 0.1" in failed.find("failure").get("message")


def test_a_bound_that_is_kept_exits_with_0_and_one_that_is_not_with_3(counts, tmp_path):
    kept = call_on_counts(counts, "--fail-above", "mad=0.4")
    assert kept.exit_code == 0
    assert "kept: mad = 0.06" in kept.stdout
    assert kept.stdout.splitlines()[-1] == "passed: 1 of 1 bounds are kept"
    # 0.0625 is below 0.1, but its interval is not
    policy = tmp_path / "policy.toml"
    policy.write_text("[fail_above]\nmad = 0.1\n[fail_below]\nmad = 0.0\n")
    bounds = ("--policy", policy, "--fail-above", "fd=2", "--junit", tmp_path / "a.xml")
    failed = call_on_counts(counts, *bounds)
    assert failed.exit_code == 3
    assert "FAILED: mad = 0.06" in failed.stdout
    assert failed.stdout.splitlines()[-1] == "not passed: 2 of 3 bounds are kept"
    assert (tmp_path / "a.xml").read_text().count("<failure") == 1
    gate = json.loads(call_on_counts(counts, *bounds, "--json").stdout)["gate"]
    assert [(row["figure"], row["side"], row["is_kept"]) for row in gate] == [
        ("fd", ABOVE, True),
        ("mad", ABOVE, False),
        ("mad", BELOW, True),
    ]


def test_the_gate_judges_the_corrected_model_of_a_run(finished_run, tmp_path):
    result = call(finished_run, "--fail-above", "mad=1", "--junit", tmp_path / "a.xml")
    assert result.exit_code == 0, result.output
    assert "kept: corrected.mad" in result.stdout
    assert call(finished_run, "--fail-above", "mad=0.0001").exit_code == 3
    wrong = call(finished_run, "--fail-below", "nosuch=0.0001")
    assert wrong.exit_code == 2
    assert "no figure 'nosuch'" in wrong.stderr


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"mad": {"value": null, "low": 0, "high": 0}}'])
def test_a_file_without_figures_is_refused(tmp_path, text):
    path = tmp_path / "found.json"
    path.write_text(text)
    result = call(path, "--fail-above", "mad=1")
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.stderr


def test_a_run_that_is_not_up_to_date_is_not_checked(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "evaluation/quality.json").unlink()
    result = call(run, "--fail-above", "mad=1")
    assert result.exit_code == 1
    assert "check requires evaluate" in result.stderr
