import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from cli.output import ProgressBar
from probe.run.config import Config

TITLES = ["PRICE", "UNTOUCHED", "VERDICT"]
STAGES = ["embed", "fit", "train", "generate", "evaluate", "visualize", "report"]


@pytest.fixture(scope="module")
def shown(finished_run, tmp_path_factory, call):
    """A finished run with its true figures and page, drawn by the command line."""
    folder = tmp_path_factory.mktemp("shown") / "run"
    shutil.copytree(finished_run, folder)
    shutil.rmtree(folder / "figures")
    result = call("run", folder)
    assert result.exit_code == 0, result.output
    return folder, result


def test_run_says_why_for_each_stage_and_ends_with_the_table(shown):
    folder, result = shown
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:7]] == STAGES
    assert all("skipped (its settings and inputs are those" in line for line in lines[:5])
    assert lines[5] == "visualize: made (figures/provenance.json does not exist yet)"
    assert lines[7] == ""
    assert re.search("before +after +chance +change ", lines[8])
    assert [line.split()[0] for line in lines if line[:5].isupper()] == TITLES
    assert lines[-1].startswith(f"Details: --full. Report: {folder / 'report.html'}")
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_full_adds_every_figure_to_the_result(shown, call):
    short, full = (call("evaluate", shown[0], *of).stdout for of in ((), ("--full",)))
    assert full.startswith(short.removesuffix("Details: --full.\n"))
    assert "failures of the correction, 0 is best" not in short
    assert "failures of the correction, 0 is best" in full


@pytest.mark.slow
def test_info_begins_with_the_result_and_what_is_out_of_date(shown, tmp_path, call):
    run = shutil.copytree(shown[0], tmp_path / "run")
    text = call("info", run).stdout
    assert text.splitlines()[0] == call("evaluate", run).stdout.splitlines()[2]
    assert "up to date: embed, fit, train, generate, evaluate, visualize, report\n" in text
    assert "made from" not in text
    assert "embeddings/prompts.parquet" in call("info", run, "--full").stdout
    (run / "report.html").write_text("a page")
    assert "\nreport  report.html was made from other results\n" in call("info", run).stdout
    call("evaluate", run, "--n-bootstrap", 101)
    lines = call("info", run).stdout.splitlines()
    assert "visualize  figures/provenance.json was made with other settings or inputs" in lines
    assert "report     waits for visualize" in lines
    Config.read(run).with_settings("fit", {"strength": 7.0}).write(run)
    text = call("info", run).stdout
    assert text.startswith("model ")
    assert "evaluate" in text
    assert "waits for fit" in text


def test_run_leaves_figures_in_three_formats_and_a_page(shown):
    folder, _ = shown
    stems = {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert len(stems) >= 8
    for suffix in ("png", "csv"):
        assert {path.stem for path in (folder / "figures").glob(f"*.{suffix}")} == stems
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert {path.name for path in folder.iterdir()} - {".lock"} == {
        "config.toml", "lexicon.toml", "embeddings", "latent", "moesd", "images", "evaluation",
        "figures", "report.html",
    }  # fmt: skip


@pytest.mark.parametrize("command", [*STAGES, "run", "info"])
def test_json_is_all_there_is_on_standard_output(shown, command, call):
    result = call(command, shown[0], "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert result.stderr == ""
    assert len(call(command, shown[0]).stdout.splitlines()) > 1
    if command == "run":
        assert list(found) == STAGES
        assert found["evaluate"]["base"]["mad"]["floor"] > 0
        assert not any(stage["stage"]["was_made"] for stage in found.values())


def test_one_figure_can_be_drawn_for_a_talk_in_the_formats_that_are_named(shown, call, contents):
    before = contents(shown[0])
    asked = ("--figure", "bias_score", "--format", "svg, png", "--style", "talk")
    found = json.loads(call("visualize", shown[0], *asked, "--json").stdout)
    written = {f"figures/talk/bias_score.{suffix}" for suffix in ("svg", "png", "csv", "txt")}
    assert set(found["files"]) == written
    after = contents(shown[0])
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == written
    assert call("visualize", shown[0]).stdout.startswith("visualize: skipped")


def test_inspect_says_what_the_gate_does_and_why(finished_run, call):
    text = call("inspect", finished_run, "a photo of a nurse").stdout
    for word in ("bias score", "gate", "expert", "shift", "nearest before", "nearest after"):
        assert word in text
    found = json.loads(call("inspect", finished_run, "a photo of a nurse", "--json").stdout)
    assert found["prompt"] == "a photo of a nurse"
    assert len(found["nearest_before"]) == 5
    assert found["words"] == found["passed_over"] == []
    text = call("inspect", finished_run, "Sheila, a nurse in Virginia").stdout
    assert "words       Sheila, not Virginia (place)" in text


def test_prompts_of_a_file_are_embedded_beside_the_others(run, tmp_path, call, refusal):
    path = tmp_path / "mine.csv"
    path.write_text("job,place\na witch,a wood\na wizard,a tower\n")
    message = refusal("embed", run, "--prompts", path)
    assert "name the column with --column" in message
    result = call("embed", run, "--prompts", path, "--column", "job")
    assert result.exit_code == 0, result.output
    assert "2 prompts of your own" in result.stdout
    assert "2 prompts from column 'job' of mine.csv; left out: 0 empty, 0 repeated" in result.stdout


def test_wrong_prompts_are_refused_before_a_run_is_started(tmp_path, model_folder, call, refusal):
    (tmp_path / "a.txt").write_bytes(b"a nurse\ncaf\xe9\n")
    started = ("embed", tmp_path / "run", "--model", model_folder)
    assert "line 2, is not UTF-8" in refusal(*started, "--prompts", tmp_path / "a.txt")
    assert call(*started, "--column", "job").exit_code == 2
    assert not (tmp_path / "run").exists()


def test_captions_are_counted_without_a_run_and_written_as_a_table(tmp_path, call):
    path, out, swapped = (tmp_path / name for name in ("a.txt", "out.csv", "swapped.csv"))
    path.write_text("A man.\nA woman and her dog.\nA tree.\n")
    result = call("prompts", path, "--out", out, "--counterfactuals", swapped)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 captions from a.txt")
    assert result.stdout.splitlines()[-2] == f"{out}: 3 rows"
    assert "swapped.csv: 2 rows; 0 without the other gender, 0 without" in result.stdout
    found = json.loads(call("prompts", path, "--json").stdout)
    assert {name: part["n"] for name, part in found["categories"].items()} == {
        "male": 1, "female": 1, "both": 0, "neutral_person": 0, "no_person": 1
    }  # fmt: skip


def test_the_seed_of_a_run_reaches_every_stage(tmp_path, model_folder, small_lexicon, call):
    run, given = tmp_path / "started", ["--model", model_folder, "--lexicon", small_lexicon]
    assert call("embed", run, *given, "--seed", "7").stdout.startswith("embed: made (")
    config = Config.read(run)
    assert {config.fit.seed, config.train.seed, config.generate.seed} == {7}
    assert call("embed", run).stdout.startswith("embed: skipped (")  # the model is known


# Exit codes


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_that_is_killed_or_stopped_goes_on_where_it_was(
    run, finished_run, call, contents
):
    shutil.rmtree(run / "images")
    command = [sys.executable, "-c", "from cli.main import main; main()", "generate", str(run)]

    def stopped_by(number, when):
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, Ctrl-C is ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while len(list(run.glob(when))) < 3 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(number)
        return process.communicate()[1], process.returncode

    _, code = stopped_by(signal.SIGKILL, "images/base/*/*.png")
    assert code == -signal.SIGKILL
    said, code = stopped_by(signal.SIGINT, "images/moesd/*/*.png")
    assert said == "moesd-probe: Interrupted. Run the same command again to resume.\n"
    assert code == 130
    assert call("generate", run).exit_code == 0
    assert contents(run) == contents(finished_run)


# Bad input: one line, exit code 1, files unchanged


def test_a_model_that_cannot_be_opened_leaves_no_embeddings(pipeline_folder, tmp_path, refusal):
    model, run = shutil.copytree(pipeline_folder, tmp_path / "model"), tmp_path / "run"
    path = model / "text_encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20_000])
    assert "text_encoder cannot be opened" in refusal("embed", run, "--model", model)
    assert not (run / "embeddings" / "states.safetensors").exists()
    assert "unknown model" in refusal("embed", tmp_path / "new", "--model", "nosuch")


def test_a_new_run_needs_a_model(tmp_path, refusal):
    line = refusal("run", tmp_path / "run")
    assert "start one with `moesd-probe embed" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_text_encoder_alone_makes_no_pictures(
    clip_folder, tmp_path, small_lexicon, call, refusal
):
    run = tmp_path / "run"
    assert call("embed", run, "--model", clip_folder, "--lexicon", small_lexicon).exit_code == 0
    assert call("fit", run).exit_code == 0
    assert call("train", run).exit_code == 0  # the recommended recipe reads text alone
    assert "needed a pipeline's folder" in refusal("generate", run)
    line = refusal("train", run, "--objective", "both")
    assert "needs a model of a family of docs/families.md" in line
    assert "is no pipeline: choose the objective counterfactual or latent" in line


def test_a_run_of_another_model_is_refused(run, pipeline_folder, refusal, contents):
    before = contents(run)
    line = refusal("embed", run, "--model", pipeline_folder)
    assert "start a new run in another folder" in line
    assert contents(run) == before


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("", "a prompt is empty"), ("  ", "a prompt is empty"), ("a\0b", "holds a NUL byte")],
)
def test_a_prompt_that_is_none_is_refused(finished_run, prompt, message, refusal):
    assert message in refusal("inspect", finished_run, prompt)


@pytest.mark.parametrize("prompt", ["a photo of a 👩‍🚒 firefighter", "صورة ممرضة", "‮a nurse‬"])
def test_emoji_and_right_to_left_text_are_prompts_like_any_other(finished_run, prompt, call):
    result = call("inspect", finished_run, prompt, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["prompt"] == prompt


def test_the_truncation_of_a_long_prompt_is_announced_once(finished_run, call):
    result = call("inspect", finished_run, "a photo of a nurse " * 500, "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("moesd-probe: warning: 1 of 1 prompts are longer than the 77")
    assert result.stderr.count("\n") == 1
    json.loads(result.stdout)


def test_a_share_above_one_is_refused_before_anything_is_written(
    tmp_path, model_folder, small_lexicon, refusal
):
    path = tmp_path / "lexicon.toml"
    path.write_text(small_lexicon.read_text().replace("share_women = 0.02", "share_women = 1.3"))
    run = tmp_path / "run"
    line = refusal("embed", run, "--model", model_folder, "--lexicon", path)
    assert "occupation 'carpenter': share_women is 1.3; needed a number from 0 to 1" in line
    assert not run.exists()


def test_a_full_disk_is_told_and_leaves_the_old_files(run, refusal, contents):
    before = contents(run)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The settings fit, the map does not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
    try:
        line = refusal("fit", run, "--n-bootstrap", "77")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "cannot write" in line
    assert "free some space and run the same command again" in line
    after = contents(run)
    assert {**after, "config.toml": b""} == {**before, "config.toml": b""}


def test_a_run_that_is_a_file_is_refused(tmp_path, model_folder, refusal):
    path = tmp_path / "run"
    path.write_text("mine")
    line = refusal("embed", path, "--model", model_folder)
    assert "is a file; needed a folder" in line
    assert "is a file; RUN must be a folder" in refusal("fit", path)
    assert path.read_text() == "mine"


def test_an_unknown_device_is_refused(tmp_path, model_folder, refusal):
    run = tmp_path / "run"
    line = refusal("embed", run, "--model", model_folder, "--device", "abacus", code=2)
    assert "there is no device 'abacus' here" in line


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_shown_on_a_terminal_only(capsys, monkeypatch, is_terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressBar() as bar:
        bar("images", 1, 2)
        bar("images", 2, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("images" in err) == is_terminal
