"""A training that is shared out to several processes."""

import itertools
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from probe.errors import StageError
from probe.io import distributed
from probe.io.artifacts import read_tensors
from probe.moesd.config import TrainConfig
from probe.moesd.loop import Loop
from probe.run import Experiment
from probe.run.folder import locked

MAIN = "from cli.main import main; main()"
SETTINGS = {
    "side": "both", "width": 4, "latent_steps": 2, "diffusion_steps": 6, "batch_size": 4,
    "accumulate": 2,
}  # fmt: skip
IN_FILE = {"unet_width": 4, "gate_reads": "bias_score"}
WEIGHTS = {
    "token": "token.safetensors",
    "experts": "experts.safetensors",
    "unet-experts": "unet_experts.safetensors",
}


@pytest.fixture
def launched(monkeypatch):
    """The first of two processes, the other of which never came."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    distributed._state.cache_clear()


def copies(run, folder, *names):
    """Copies of a run, with the settings that only ``config.toml`` has."""
    found = [shutil.copytree(run, folder / name) for name in names]
    for copy in found:
        Experiment.open(copy).set("train", **IN_FILE)
    return found


def arguments(options):
    return [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value).lower())
    ]


def weights(run):
    return {
        f"{kind}/{name}": torch.from_numpy(array)
        for kind, file in WEIGHTS.items()
        for name, array in read_tensors(run / "moesd" / file, kind=kind)[0].items()
    }


# Without other processes


def test_one_process_is_the_first_and_keeps_its_device():
    assert (distributed.world_size(), distributed.rank()) == (1, 0)
    assert distributed.own_device("cuda") == "cuda"
    value = torch.ones(3)
    assert distributed.total(value) is value


def test_each_process_of_several_has_a_card_of_its_own(launched):
    assert distributed.own_device("cuda") == "cuda:1"
    assert distributed.own_device("cpu") == "cpu"
    assert distributed.own_device("cuda:3") == "cuda:3"


def test_batches_that_cannot_be_shared_out_are_refused(launched):
    with pytest.raises(ValueError, match=r"accumulate is 3 but 2 processes .* a multiple of 2"):
        Loop({}, TrainConfig(accumulate=3), n_steps=1)


def test_only_training_is_shared_out(launched, tmp_path):
    told = "2 processes were launched but only `moesd-probe train`"
    with pytest.raises(StageError, match=told), locked(tmp_path):
        pass
    with locked(tmp_path, is_shared=True):
        assert (tmp_path / ".lock").exists()


@pytest.mark.slow
def test_a_skipped_batch_draws_as_many_random_numbers_as_a_computed_one(
    diffusion_objective, pipeline
):
    computed, skipped = diffusion_objective(pipeline), diffusion_objective(pipeline)
    with torch.no_grad():
        first, second = computed.loss(), computed.loss()
        skipped.skip()
        assert torch.equal(skipped.loss(), second)
    assert not torch.equal(first, second)


# With them


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_end_in_the_weights_of_one(finished_run, tmp_path):
    one, two = copies(finished_run, tmp_path, "one", "two")
    Experiment.open(one).train(**SETTINGS)
    script = tmp_path / "train.py"
    script.write_text(MAIN)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(script), "train", str(two), *arguments(SETTINGS), "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"gate_accuracy"') == 1  # one of them tells
    expected, found = weights(one), weights(two)
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        # Gradients are added up in another order, and Adam's first steps make that larger. What
        # goes up starts at zero, so that all of it is learnt.
        near = 0.01 if ".up." in name else 1e-3
        assert (found[name] - weight).norm() <= near * weight.norm(), name
    learnt = {name.split("/")[0] for name in expected if ".up." in name and expected[name].any()}
    assert learnt == {"experts", "unet-experts"}
    assert Experiment.open(two).train().was_made is False


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_that_is_killed_ends_in_the_same_bytes(finished_run, tmp_path):
    # All in processes of their own, since this one has fewer threads: sums then round otherwise.
    settings = SETTINGS | {"diffusion_steps": 40, "precision": "bf16", "checkpointing": True}
    whole, broken = copies(finished_run, tmp_path, "whole", "broken")

    def command(run):
        return [sys.executable, "-c", MAIN, "train", str(run), *arguments(settings)]

    subprocess.run(command(whole), check=True, capture_output=True)
    state, seen = broken / "moesd" / "checkpoint.safetensors", set()
    process = subprocess.Popen(command(broken), stderr=subprocess.DEVNULL)
    while len(seen) < 4 and process.poll() is None:
        time.sleep(0.001)
        if state.exists():
            seen.add(state.stat().st_mtime_ns)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert state.exists()
    subprocess.run(command(broken), check=True, capture_output=True)
    assert not state.exists()
    for file in itertools.chain(WEIGHTS.values(), ["gate.parquet", "config.json"]):
        assert (broken / "moesd" / file).read_bytes() == (whole / "moesd" / file).read_bytes(), file
