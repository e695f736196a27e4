"""However a command ends, it resumes, and the files are those of an undisturbed run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probe.moesd.checkpoint import Checkpoint
from probe.run import Experiment

KILL = Path(__file__).parents[2] / "benchmarks" / "kill.py"


def ends(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stage", "folder", "where", "name"),
    [("embed", "embeddings", shutil, "rmtree"), ("train", "moesd", Checkpoint, "remove")],
)
def test_work_files_are_removed_although_a_command_ends_as_it_removes_them(
    run, finished_run, contents, monkeypatch, stage, folder, where, name
):
    for path in (run / folder).glob("*.*"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(where, name, ends)
        with pytest.raises(KeyboardInterrupt):
            getattr(Experiment.open(run), stage)()
    monkeypatch.setattr("probe.run.stages.train.train_correction", ends)  # not trained again
    assert getattr(Experiment.open(run), stage)().was_made
    assert contents(run) == contents(finished_run)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_again_and_again_ends_in_equal_files():
    command = [sys.executable, str(KILL), "--n-runs", "1", "--n-kills", "4", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["wrong"] == {}
    assert found["kills"] >= 4


ENDLESS = """
import sys, time
from pathlib import Path

from figures import report
from probe.images import generation
from probe.run.registry import STAGES

command, run, name = sys.argv[1:]
make = type(STAGES[command]).make

def work(stage, run):
    Path(name).touch()
    while True:
        make(stage, run)

type(STAGES[command]).make = work
if name.endswith("slow piece"):
    generation.pngs = lambda *_: time.sleep(60)
report.render_report = lambda _: "a page"
sys.argv[1:] = [command, run]
from cli import start
start()
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("command", "made", "piece", "number", "n_signals"),
    [
        ("embed", "embeddings/*.*", "", signal.SIGTERM, 1),
        ("train", "moesd/*.*", "", signal.SIGINT, 1),
        ("generate", "images/*/*.json", "slow piece", signal.SIGTERM, 1),
        ("evaluate", "evaluation/*.*", "", signal.SIGINT, 2),
        ("report", "report.html", "", signal.SIGTERM, 1),
    ],
)
def test_signals_end_a_stage_within_five_seconds(
    run, finished_run, call, contents, drawing, tmp_path, command, made, piece, number, n_signals
):
    for path in (*run.glob(made), *((run / "images").rglob("*.png") if piece else ())):
        path.unlink()
    mark = tmp_path / f"begun {piece}"
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, command, str(run), str(mark)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not mark.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.2)
    begun = time.monotonic()
    for _ in range(n_signals):
        process.send_signal(number)
        time.sleep(0.01)
    _, said = process.communicate()
    # Of a process with a core; it has a share of one where more processes work than cores are.
    assert time.monotonic() - begun < 5 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert process.returncode in ((128 + number,) if n_signals == 1 else (128 + number, -number))
    assert "Traceback" not in said
    if command == "report":  # the page of `finished_run` is none of the command's
        Experiment.open(run).report(drawing[1])
    else:
        assert call(command, run).exit_code == 0
    assert contents(run) == contents(finished_run)
