"""Exit codes and messages of commands that fail."""

import numpy as np
import pytest

from probe.errors import DataError, OptionError
from probe.run import Experiment
from probe.run.config import Config


@pytest.fixture
def fit_raises(monkeypatch):
    """Make `Experiment.fit` raise an error."""

    def fit_raises(error: BaseException) -> None:
        def fit(self: Experiment, **settings: object) -> None:
            raise error

        monkeypatch.setattr(Experiment, "fit", fit)

    return fit_raises


@pytest.mark.parametrize(
    ("error", "code"), [(DataError("the data are wrong"), 1), (OptionError("strength is -1"), 2)]
)
def test_an_expected_error_is_one_line(finished_run, fit_raises, error, code, call):
    fit_raises(error)
    result = call("fit", finished_run)
    assert result.exit_code == code
    assert result.stderr == f"moesd-probe: error: {error}\n"


@pytest.mark.parametrize("place", ["before the command", "after the options"])
def test_debug_shows_the_traceback_of_an_expected_error(finished_run, fit_raises, place, call):
    fit_raises(DataError("the data are wrong"))
    command = ["fit", finished_run]
    command.insert(0 if place == "before the command" else 2, "--debug")
    result = call(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.endswith("moesd-probe: error: the data are wrong\n")


def test_debug_after_two_hyphens_is_an_argument(finished_run, call):
    result = call("inspect", finished_run, "--json", "--", "--debug")
    assert result.exit_code == 0, result.output
    assert '"prompt": "--debug"' in result.stdout


def test_an_unexpected_value_error_says_so_and_keeps_its_traceback(finished_run, monkeypatch, call):
    monkeypatch.setattr(Experiment, "fit", lambda self: np.zeros(2) + np.zeros(3))
    result = call("fit", finished_run)
    assert result.exit_code == 1
    first, *_, last = result.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "could not be broadcast together" in result.stderr
    assert last.startswith("moesd-probe: unexpected ValueError: ")
    assert "Please report it" in last


def test_ctrl_c_exits_with_130_and_says_how_to_resume(finished_run, fit_raises, call):
    fit_raises(KeyboardInterrupt())
    result = call("fit", finished_run)
    assert result.exit_code == 130
    assert result.stderr == "moesd-probe: Interrupted. Run the same command again to resume.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch", "RUN"], "No such command 'nosuch'"),
        (["fit"], "Missing argument 'RUN'"),
        (["fit", "RUN", "--nosuch"], "No such option"),
        (["fit", "RUN", "--strength", "much"], "'much' is not a valid float"),
        (["fit", "RUN", "--seed", "-1"], "-1 is not in the range"),
        (["check", "RUN", "--fail-above", "mad=abc"], "the bound is 'mad=abc'"),
        (["check", "RUN", "--fail-below", "mad"], "the bound is 'mad'"),
        (["check", "RUN", "--fail-above", "mda=0.2"], "there is no figure 'mda'"),
        (["check", "RUN", "--policy", "POLICY"], "fail_over is unknown"),
        (["audit"], "give one of --images"),
        (["audit", "RUN", "--target", "parity"], "RUN is for --sequential; `moesd-probe evaluate"),
        (["audit", "--counts", "POLICY", "--side", "base"], "--side needs --sequential"),
        (["check", "RUN", "--junit", "a.xml"], "give a bound with --fail-above"),
        (["audit", "RUN", "--sequential", "0.6"], "requires 2 arguments"),
        (["audit", "RUN", "--sequential", "0.6", "0.4"], "needed 0 <= low < high <= 1"),
        (["power", "--difference", "1e-9"], "needs more than"),
        (["power", "--difference", "0.7"], "difference is 0.7"),
        (["audit", "--counts", "POLICY"], "no file of counts"),
        (["fit", "RUN", "--n-bootstrap", "0"], "0 is not in the range 1<=x"),
        (["fit", "RUN", "--estimator", "nosuch"], "'nosuch' is not one of 'pairs'"),
        (["train", "RUN", "--learning-rate", "-1"], "-1.0 is not in the range x>=0"),
        (["generate", "RUN", "--n-images", "0"], "0 is not in the range x>=1"),
        (["sweep", "RUN", "--over", "train.width"], "is no axis"),
        (["compare", "methods", "RUN", "--only", "nosuch"], "no method is called 'nosuch'"),
        (["compare", "runs", "RUN"], "needed at least 2"),
        (["export", "RUN", "a.xyz"], "is unknown; needed"),
        (["visualize", "RUN", "--figure", "chart"], "no figure is named 'chart'"),
        (["embed", "NEW", "--model", ""], "model is empty"),
        (["run", "NEW", "--model", " "], "model is empty"),
        (["embed", "NEW", "--model", "MODEL", "--encoder", "nosuch"], "no text encoder 'nosuch'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_value_exits_with_2_and_changes_no_setting(
    run, tmp_path, model_folder, monkeypatch, arguments, message, call
):
    before = (run / "config.toml").read_bytes()
    policy = tmp_path / "policy.toml"
    policy.write_text("[fail_over]\nmad = 0.2\n")
    places = {"RUN": run, "NEW": tmp_path / "new", "MODEL": model_folder, "POLICY": policy}
    monkeypatch.chdir(tmp_path)
    result = call(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert (run / "config.toml").read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_wrong_bounds_are_refused_before_anything_is_measured(run, monkeypatch, call):
    monkeypatch.setattr(Experiment, "figures", None)
    assert call("check", run, "--fail-above", "mad=abc").exit_code == 2


def test_an_option_that_is_right_is_kept(run, call):
    assert call("fit", run, "--strength", "250", "--seed", "5").exit_code == 0
    config = Config.read(run)
    assert (config.fit.strength, config.fit.seed) == (250.0, 5)
    assert config.generate.seed == 3
