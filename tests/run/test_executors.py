"""Prompts, images and labels that workers make are those of one process, to the last bit."""

import itertools
import os
import pickle
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from probe.baselines import BASELINES
from probe.baselines.weights import lora
from probe.errors import ModelError, OptionError
from probe.io.executors import MISSING, RayExecutor
from probe.run import Experiment
from probe.run.folder import Run
from probe.run.sweep import run_sweep
from probe.text.embeddings import EmbeddingStore

pytestmark = pytest.mark.timeout(900)  # Ray starts slowly on a busy machine

METHODS = ("uce", "lora", "fair-diffusion", "prompt-intervention", "reweighting")
MADE = ("embeddings", "images", "evaluation")


class Elsewhere:
    """Works on pieces as another process would: pickled, in any order, with models of its own."""

    def __init__(self, seed=0, *, is_shared=False):
        self.order, self.n_pieces, self.is_shared = random.Random(seed), Counter(), is_shared
        self.n_written = 0

    def map(self, job, pieces):
        work = pickle.loads(pickle.dumps(job))()
        pieces = list(pieces)
        self.order.shuffle(pieces)
        self.n_pieces[name_of(job)] += len(pieces)
        for key, piece in pieces:
            result = work(pickle.loads(pickle.dumps(piece)))
            self.n_written += result is None
            yield key, pickle.loads(pickle.dumps(result))


class Mortal(RayExecutor):
    """Workers of which one ends, without a word, on its second piece or on the only one.

    ``end_node`` is called once, when the second job has its first result.
    """

    def __init__(self, folder, address, n_workers, end_node):
        super().__init__(address=address, n_workers=n_workers)
        self.folder, self.end_node, self.n_jobs, self.keys = folder, end_node, 0, []

    def map(self, job, pieces):
        self.n_jobs += 1
        marks = [self.folder / f"{self.n_jobs}-{name}" for name in ("begun", "ended")]
        for key, result in super().map(partial(mortal, job, *marks), pieces):
            self.keys.append((self.n_jobs, key))
            if self.n_jobs == 2 and self.end_node is not None:
                self.end_node()
                self.end_node = None
            yield key, result


def mortal(job, begun, ended):
    work = job()

    def end_once(piece):
        if begun.exists() and not ended.exists():
            ended.touch()
            os._exit(1)
        begun.touch()
        return work(piece)

    return end_once


def name_of(job):
    opener = job.args[0]  # which opens models on a worker
    return getattr(getattr(opener, "func", opener), "__name__", "")


@pytest.fixture
def started_again(run):
    """A run whose embeddings, images and evaluation are gone."""
    (run / "embeddings" / "states.safetensors").unlink()
    for path in (*run.rglob("*.png"), *(run / "images").rglob("*.json*")):
        path.unlink()
    (run / "evaluation" / "labels.parquet").unlink()
    return run


def made(contents, folder):
    return {name: data for name, data in contents(folder).items() if name.startswith(MADE)}


def finish(folder, executor, drawing):
    Experiment.open(folder, executor=executor).run(*drawing)


@pytest.mark.parametrize("is_shared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_pieces_in_any_order_make_equal_files(
    started_again, finished_run, contents, drawing, monkeypatch, is_shared
):
    monkeypatch.setattr("probe.run.evaluation.evaluators._PIECE", 30)
    executor = Elsewhere(is_shared, is_shared=is_shared)
    finish(started_again, executor, drawing)
    assert made(contents, started_again) == made(contents, finished_run)
    embed, draw = ("open_writer",) * 2 if is_shared else ("_open_encoder", "open_drawing")
    assert min(executor.n_pieces[name] for name in (draw, "open_models")) > 2
    assert executor.n_written == is_shared * sum(executor.n_pieces[name] for name in {embed, draw})


@pytest.mark.slow
def test_methods_and_variants_of_a_sweep_are_made_elsewhere_alike(
    finished_run, contents, tmp_path, monkeypatch
):
    monkeypatch.setitem(BASELINES._items, "lora", partial(lora, n_steps=2, batch_size=8))
    monkeypatch.setattr("probe.run.compare.rows.N_REPEATS", 1)
    found = []
    for executor in (None, Elsewhere()):
        run = Path(shutil.copytree(finished_run, tmp_path / str(len(found))))
        methods = ("moesd-recommended", "moesd-paper", *METHODS)
        Experiment.open(run, executor=executor).compare(*methods)
        run_sweep(run, {"train.width": (2,)}, executor=executor)
        made = (".png", "labels.parquet", "features.safetensors")
        found.append({name: data for name, data in contents(run).items() if name.endswith(made)})
    made_by = ("open_drawing", "open_models", "_open_one")
    assert min(executor.n_pieces[name] for name in made_by) > len(methods)
    assert found[0] == found[1]


@pytest.mark.slow
def test_images_of_trainings_studies_and_audits_are_labelled_elsewhere_alike(
    finished_run, contents, drawing, tmp_path, monkeypatch
):
    monkeypatch.setattr("probe.run.evaluation.looking._PIECE", 7)
    found, n_pieces = [], []
    for executor in (None, Elsewhere()):
        run = Path(shutil.copytree(finished_run, tmp_path / str(len(found))))
        shutil.rmtree(run / "moesd")
        experiment = Experiment.open(run, executor=executor)
        for work in (
            lambda of=experiment: of.run(*drawing),
            lambda of=experiment: of.study("levels", n_level_images=2),
            lambda of=experiment: of.audit_until_settled(0.45, 0.55, n_max=8),
        ):
            work()
            n_pieces.append(executor.n_pieces["_open_one"] if executor else 0)
        found.append(contents(run))
    assert (np.diff(n_pieces[2:]) > 2).all()
    assert found[0] == found[1]


def test_chunks_of_prompts_in_any_order_make_an_equal_store(
    finished_run, tmp_path, contents, monkeypatch
):
    monkeypatch.setattr("probe.text.embeddings.CHUNK", 50)
    executor = Elsewhere()
    run = Run(finished_run, Experiment.open(finished_run).config, executor=executor)
    for folder, distribute in (("here", None), ("there", run.distribute)):
        store = EmbeddingStore(tmp_path / folder)
        store.update(run.load_encoder(), run.prompts, distribute=distribute)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert executor.n_pieces["_open_encoder"] > 2


@pytest.fixture
def audited(finished_run, tmp_path, monkeypatch):
    """Label a folder of images, one of which is damaged and one a copy, in pieces of 7."""
    from probe.audit.image_labels import label_folder, label_images

    monkeypatch.setitem(label_images.__kwdefaults__, "batch_size", 7)
    folder, model = tmp_path / "pictures", Experiment.open(finished_run).config.model
    for subject in (finished_run / "images" / "base").iterdir():
        for file in sorted(subject.glob("*.png"))[:4]:
            (folder / subject.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / subject.name)
    first, *_, last = sorted(folder.rglob("*.png"))
    shutil.copy(first, first.with_name("copy.png"))
    last.write_bytes(last.read_bytes()[:200])

    def label(executor):
        return asdict(label_folder(folder, classifier=model, executor=executor))

    return label


def test_audited_images_in_any_order_make_an_equal_table(audited):
    executor = Elsewhere()
    here, there = audited(None), audited(executor)
    assert len(here["notes"]) == 2
    assert executor.n_pieces.total() > 2
    np.testing.assert_equal(there, here)


def test_a_worker_with_other_weights_is_refused(finished_run, monkeypatch):
    run = Run(finished_run, Experiment.open(finished_run).config, executor=Elsewhere())
    there = run.distribute(Run.load_encoder, [(0, ["a photo of a nurse"])])
    monkeypatch.setattr("probe.text.encoding.conditioning.model_revision", lambda _: "other")
    with pytest.raises(ModelError, match=rf"other, but .* {run.revision}; install the same"):
        next(there)


def test_without_ray_one_line_says_what_to_install(finished_run, refusal, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    line = refusal("generate", finished_run, "--executor", "ray", code=2)
    assert MISSING in line


def test_options_of_ray_need_ray(finished_run, refusal):
    assert "--executor ray" in refusal("generate", finished_run, "--workers", 2, code=2)
    assert "--shared, ...) need --executor ray" in refusal(
        "embed", finished_run, "--shared", code=2
    )
    line = refusal("audit", "--labels", finished_run / "config.toml", "--executor", "ray", code=2)
    assert "--executor needs --images or --sequential" in line
    for options in (("--gpus-per-worker", 2), ("--gpus-per-worker", 1.5, "--device", "cuda")):
        line = refusal("generate", finished_run, "--executor", "ray", *options, code=2)
        assert "needs --device cuda, and a number < 1 or whole" in line


@pytest.fixture(scope="session")
def cluster():
    """Two nodes of Ray on this machine, which have two cores each, it says.

    An address, what ends the second node, and what adds one if it has ended.
    """
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    fast = {"num_cpus": 2, "include_dashboard": False, "include_log_monitor": False}
    head = {**fast, "no_monitor": True, "num_gpus": 1}  # a number of Ray's: there need be no GPU
    try:
        cluster = Cluster(initialize_head=True, head_node_args=head)
        node = cluster.add_node(**fast)
    except Exception as error:
        pytest.skip(f"Ray does not start: {error}")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def add_node():
        ray.init(cluster.address, ignore_reinit_error=True, logging_level="ERROR")
        if ray.cluster_resources()["CPU"] < 4:
            cluster.add_node(**fast)

    yield cluster.address, partial(cluster.remove_node, node, allow_graceful=False), add_node
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [4, 3, 2, 1])  # a node ends with the first
def test_workers_of_ray_make_equal_files_although_one_is_killed_and_a_node_ends(
    cluster,
    started_again,
    finished_run,
    audited,
    contents,
    drawing,
    monkeypatch,
    tmp_path,
    n_workers,
):
    monkeypatch.setattr("probe.run.evaluation.evaluators._PIECE", 30)
    address, end_node, add_node = cluster
    add_node()
    executor = Mortal(tmp_path, address, n_workers, end_node if n_workers == 4 else None)
    finish(started_again, executor, drawing)
    assert executor.end_node is None
    assert made(contents, started_again) == made(contents, finished_run)
    np.testing.assert_equal(audited(executor), audited(None))
    assert len(set(executor.keys)) == len(executor.keys)
    assert len(list(tmp_path.glob("*-ended"))) >= 2


class Dying(RayExecutor):
    """Processes of a training of which one ends, without a word, once there is a checkpoint."""

    def launch(self, work, storage):
        super().launch(partial(die_once, work, storage.parent), storage)


def die_once(work, run):
    def end():
        while not (run / "moesd/checkpoint.safetensors").exists():
            time.sleep(0.01)
        (run / ".ended").touch()
        os._exit(1)

    if os.environ["RANK"] == "1" and not (run / ".ended").exists():
        threading.Thread(target=end, daemon=True).start()
    work()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # of Ray, in Ray
def test_a_training_by_ray_ends_in_the_bytes_of_torchrun_although_a_process_is_lost(
    cluster, finished_run, contents, tmp_path
):
    launched, by_ray = (shutil.copytree(finished_run, tmp_path / of) for of in ("launched", "ray"))
    (tmp_path / "train.py").write_text("from cli.main import main; main()")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += [str(tmp_path / "train.py"), "train", str(launched), "--accumulate=2"]
    subprocess.run([*command, "--width=4", "--diffusion-steps=60"], check=True, capture_output=True)
    address, _, add_node = cluster
    add_node()
    executor = Dying(address=address, n_workers=2)
    settings = {"width": 4, "diffusion_steps": 60, "accumulate": 2}
    assert Experiment.open(by_ray, executor=executor).train(**settings).was_made
    (by_ray / ".ended").unlink()  # one has ended
    assert contents(by_ray) == contents(launched)
    with pytest.raises(OptionError, match="a multiple of 2"):
        Experiment.open(by_ray, executor=executor).train(accumulate=3)


def process_of(n):
    asked = itertools.count(n)
    return lambda piece: (os.getpid(), next(asked))


def test_pieces_of_a_lost_worker_go_to_one_that_has_nothing_to_do():
    """Of two workers, the second ends when the first is done; there is no place for a third."""
    numbers, order = (
        itertools.count(),
        [*["begin0", "begin1", "run0", "run0", "run1", "run1", "run0", "run0"]],
    )

    def start(_):
        number = next(numbers)
        give = {name: lambda *of, name=name: (f"{name}{number}", of) for name in ("begin", "run")}
        return SimpleNamespace(**{name: SimpleNamespace(remote=of) for name, of in give.items()})

    def get(ref):
        if ref[0] == "run1":
            raise OSError
        return ref[1]

    ray = SimpleNamespace(cloudpickle=pickle, put=len, kill=id, get=get)
    ray.exceptions = SimpleNamespace(RayTaskError=KeyError, RayError=OSError)
    ray.wait = lambda refs: ([next(ref for ref in refs if ref[0] == order[0])], order.pop(0))
    executor = object.__new__(RayExecutor)
    vars(executor).update(_ray=ray, _actor=SimpleNamespace(remote=start), n_workers=2)
    vars(executor).update(_workers=[], _n_threads=1, _n_gpus=0)
    pieces = [(number, number) for number in range(4)]
    assert sorted(executor.map(process_of, pieces)) == pieces


@pytest.mark.slow
def test_workers_keep_their_models_for_the_same_job_and_end_with_one_that_is_stopped(cluster):
    executor = RayExecutor(address=cluster[0], n_workers=1)
    jobs = [partial(process_of, n) for n in (0, 0, 5, 0)]
    found = [result for job in jobs for _, result in executor.map(job, [("key", "piece")])]
    assert [n for _, n in found] == [0, 1, 5, 0]
    results = executor.map(jobs[0], [(0, "piece"), (1, "piece")])
    next(results)
    results.close()
    ((_, (process, _)),) = executor.map(jobs[0], [("key", "piece")])
    executor.close()
    assert {before for before, _ in found} == {found[0][0]} != {process}


@pytest.mark.slow
def test_there_are_as_many_workers_as_cores_or_parts_of_gpus(cluster):
    with pytest.raises(OptionError, match="9999 workers need 1 CPU each"):
        RayExecutor(address=cluster[0], n_workers=9999)
    assert RayExecutor(address=cluster[0], device="cuda", gpus_per_worker=0.25).n_workers == 4
