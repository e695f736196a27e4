"""Executors of long jobs: workers of Ray, which do what otherwise this process does.

Pieces and results travel as bytes, and only the driver (the process that has the run) writes files:
workers need no shared file system.
"""

import gc
import logging
import os
import pickle
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from probe.errors import ModelError, OptionError, ProbeError, StageError
from probe.io.files import one_line

Key = TypeVar("Key")

MISSING = "--executor ray needs Ray: pip install 'moesd-probe[ray]'"

_AT_ONCE = 2  # pieces that a worker has: one that it works on, and the next one
_RETRIES = 3  # of a piece whose worker has ended
_PATIENCE = 24 * 3600  # seconds: the first process may make training images for hours


Job: TypeAlias = Callable[[], Callable[[Any], Any]]
"""Opens models on a worker; returns the function from a piece to its result. It is pickled."""
Results: TypeAlias = Generator[tuple[Key, Any], None, None]


class Executor(Protocol):
    """Anything that works on the pieces of a job elsewhere."""

    n_workers: int
    is_shared: bool
    """Whether workers have the files of this process at the same paths; they write results then."""

    def map(self, job: Job, pieces: Iterable[tuple[Key, Any]]) -> Results[Key]:
        """Yield the key and the result of each piece, once, in the order in which they are done."""

    def launch(self, work: Callable[[], None], storage: Path) -> None:
        """Run a function in a process a worker, which share a training."""


Distribute: TypeAlias = Callable[..., Results[Any]]
"""Yields keys and results of pieces with keys, from workers that open models with a function.

With a folder and a function of it, a piece and its result, workers of a shared file system write
results there, and return None.
"""


def open_writer(
    opener: Callable[[Any], Any], folder: Path, write: Callable[[Path, Any, Any], None], models: Any
) -> Callable[[Any], None]:
    """Open models on a worker that writes its results itself."""
    work = opener(models)

    def work_and_write(piece: Any) -> None:
        result = work(piece)
        if not folder.is_dir():
            raise StageError(
                f"the worker on {socket.gethostname()} has no folder {folder}; needed one file "
                "system for all workers: leave --shared out"
            )
        write(folder, piece, result)

    return work_and_write


class RayExecutor:
    """Actors of Ray; by default one a core, or one a GPU for models on a ``device`` ``"cuda"``.

    ``address`` is that of a cluster, ``"HOST:PORT"``, or ``"auto"`` for the one on this machine.
    Without it, Ray is started here and ends with this process. Each worker opens the models of a
    job once, and keeps them until a different job. Workers end with `close` or this process; those
    with a GPU, whose memory others may need, with their job. ``gpus_per_worker`` is a part of one,
    or a whole number. The pieces of a worker that ends, with its node or alone, go to the others
    and to a new one, at most 3 times each. ``is_shared`` says that they have the files of this
    process at the same paths, and write states and images themselves.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        n_workers: int | None = None,
        device: str = "cpu",
        gpus_per_worker: float | None = None,
        is_shared: bool = False,
    ) -> None:
        import torch

        kind = "GPU" if device.startswith("cuda") else "CPU"
        n_each = gpus_per_worker or 1
        if gpus_per_worker and (kind == "CPU" or (n_each > 1 and n_each % 1)):
            raise OptionError("--gpus-per-worker needs --device cuda, and a number < 1 or whole")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError as error:
            raise OptionError(MISSING) from error
        n_cores = torch.get_num_threads()
        options: dict[str, Any] = {"address": address or "local"}
        if address is None:
            options |= {"num_cpus": n_workers or n_cores, "include_dashboard": False}
        try:
            options |= {"logging_level": logging.ERROR, "log_to_driver": False}
            ours = signal.getsignal(signal.SIGTERM)
            ray.init(**options, ignore_reinit_error=True)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, ours)  # Ray's would end the command without a word
        except Exception as error:  # Ray raises exceptions of many kinds here
            raise StageError(
                f"there is no Ray at {address or 'this machine'} ({_reason(error)}); start it "
                "with `ray start --head`, and give the address that it prints as --address"
            ) from error
        there = int(ray.cluster_resources().get(kind, 0) / n_each)
        self.n_workers = n_workers or there
        if not 0 < self.n_workers <= there:
            raise OptionError(
                f"{self.n_workers} workers need {n_each:g} {kind} each but Ray has place for "
                f"{there}: fewer --workers"
            )
        self._n_gpus = n_each if kind == "GPU" else 0
        self._ray, self._actor = ray, ray.remote(num_cpus=1, num_gpus=self._n_gpus)(_Worker)
        self._n_threads = max(1, n_cores // self.n_workers) if address is None else 1
        self._workers: list[Any] = []
        self.is_shared = is_shared

    def close(self) -> None:
        """End the workers; a later job starts new ones."""
        while self._workers:
            with suppress(Exception):  # Ray may have ended before
                self._ray.kill(self._workers.pop())

    def launch(self, work: Callable[[], None], storage: Path) -> None:
        """Run a function in a process a worker, by Ray's TorchTrainer, as torchrun would.

        If one ends or fails, all start again, at most 3 times: the function resumes from a
        checkpoint of its own. ``storage`` is a folder of all nodes for Ray, which is removed.
        """
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        self.close()
        needs, failed = {"CPU": 1, "GPU": self._n_gpus}, list[Exception]()
        trainer = TorchTrainer(
            work,
            torch_config=TorchConfig("nccl" if self._n_gpus else "gloo", timeout_s=_PATIENCE),
            scaling_config=ScalingConfig(
                num_workers=self.n_workers, use_gpu=self._n_gpus > 0, resources_per_worker=needs
            ),
            run_config=RunConfig(
                storage_path=str(storage), failure_config=FailureConfig(max_failures=_RETRIES)
            ),
        )

        def fit() -> None:
            try:
                trainer.fit()
            except Exception as error:
                failed.append(error)

        # In the main thread, Ray would take Ctrl-C for itself.
        thread = threading.Thread(target=fit, daemon=True)
        thread.start()
        try:
            thread.join()
        finally:
            shutil.rmtree(storage, ignore_errors=True)
        for error in failed:
            found = getattr(error, "worker_failures", {}).values()
            ours = (getattr(of, "_base_exc", of) for of in found)
            raise next((of for of in ours if isinstance(of, ProbeError)), _ended(error)) from error

    def map(self, job: Job, pieces: Iterable[tuple[Key, Any]]) -> Results[Key]:
        """Yield keys and results; if this ends early, by Ctrl-C too, the workers end with it.

        A worker gets pieces once it has started: where the nodes that are left have no place for
        it, Ray's own restart, or its `ActorPool`, would keep its pieces for ever.
        """
        told, to_do = self._ray.put(self._ray.cloudpickle.dumps(job)), iter(pieces)
        again: list[tuple[Any, int]] = []  # pieces whose worker has ended, and how many have
        given: dict[Any, tuple[Any, Any, int]] = {}  # by reference to the result
        workers, is_over = self._workers, False

        def begin(n_ended: int, worker: Any = None) -> None:
            if worker is None:
                workers.append(worker := self._actor.remote(self._n_threads))
            given[worker.begin.remote(told)] = worker, None, n_ended

        def give(worker: Any) -> None:
            piece, n_ended = again.pop() if again else (next(to_do, None), 0)
            if piece is not None:
                given[worker.run.remote(*piece)] = worker, piece, n_ended

        try:
            for worker in [*workers, *[None] * (self.n_workers - len(workers))]:
                begin(0, worker)
            is_begun = False
            while not is_begun or again or any(piece for _, piece, _ in given.values()):
                busy = [worker for worker, _, _ in given.values()]
                for worker in [of for of in workers if of not in busy] if again else ():
                    give(worker)
                (done, *_), _ = self._ray.wait(list(given))
                worker, piece, n_ended = given.pop(done)
                try:
                    found = self._ray.get(done)
                except self._ray.exceptions.RayTaskError:
                    raise  # of the work itself
                except self._ray.exceptions.RayError as error:
                    if n_ended == _RETRIES:
                        raise _ended(error) from error
                    if piece is not None:
                        again.append((piece, n_ended + 1))
                    if worker in workers:
                        workers.remove(worker)
                        self._ray.kill(worker)
                        begin(n_ended + 1 if piece is None else 0)
                    continue
                is_begun = True
                for _ in range(_AT_ONCE if piece is None else 1):
                    give(worker)
                if piece is not None:
                    if isinstance(found[1], ProbeError):
                        raise found[1]
                    yield found
            is_over = True
        finally:
            if self._n_gpus or not is_over:
                self.close()


class _Worker:
    """An actor, which opens the models of each job with its first piece."""

    def __init__(self, n_threads: int) -> None:
        os.environ["RAYON_NUM_THREADS"] = str(n_threads)  # tokenizers reads it when it starts
        self._n_threads, self._job = n_threads, b""
        self._work: Callable[[Any], Any] | None = None

    def begin(self, job: bytes) -> None:
        """Take a job; close the models of the last one unless it is the same."""
        if job != self._job:
            self._job, self._work = job, None
            gc.collect()

    def run(self, key: Any, piece: Any) -> tuple[Any, Any]:
        """Return the key with the result of a piece, or with the error to show the user."""
        import torch

        torch.set_num_threads(self._n_threads)
        try:
            if self._work is None:
                self._work = pickle.loads(self._job)()
            return key, self._work(piece)
        except ProbeError as error:
            return key, error


def equal_parts(n: int, most: int) -> list[slice]:
    """Cut n items into the fewest parts of at most ``most``, alike in size for alike workers.

    >>> equal_parts(5, 3)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    n_parts = -(-n // most)
    return [slice(*cuts) for cuts in pairwise(n * k // n_parts for k in range(n_parts + 1))]


def refuse_other(what: str, found: str, wanted: str) -> None:
    """Refuse a worker whose weights are not those of the process that has the run."""
    if found != wanted:
        raise ModelError(
            f"the worker on {socket.gethostname()} has {what} with the weights {found}, but this "
            f"process has {wanted}; install the same weights there, or name a hub id"
        )


def _ended(error: Exception) -> StageError:
    return StageError(
        f"workers ended {_RETRIES + 1} times or did not start ({_reason(error)}); needed memory "
        "for each, and the moesd-probe of this machine: give fewer --workers, or compare versions, "
        "and run the command again to resume"
    )


def _reason(error: Exception) -> str:
    return one_line(error)[:300]
