"""However a command ends, it resumes, and the files are those of an undisturbed run."""

import json
import shutil
import subprocess
import sys
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
    command = [sys.executable, str(KILL), "--n-runs", "1", "--n-kills", "6", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["wrong"] == {}
    assert found["kills"] >= 3
