"""A run that is killed again and again ends in the files of one that was left alone.

``python benchmarks/kill.py [--n-kills 200] [--n-runs 20] [--workers N] [--seed 0] [--json]``

Runs of the laboratory model are killed by SIGKILL, ``n_kills`` times in all, and started again by
the same command until they have ended: half of the kills at a random moment, half just before a
change of the file system (a rename, a removal, a new folder) that is drawn at random. Then every
file is compared with that of a run that was left alone, and the folder is searched for other files
and locks. ``--workers`` gives the work to as many nodes of Ray on this machine, started by ``ray
start`` with a core each, and kills one of their workers, too, in each start, or a whole node.

Processes are forks of this one, which has imported everything: a kill never falls into the start.
"""

import hashlib
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Self

import click
import psutil

from probe.errors import BusyError
from probe.io.files import exclusive
from probe.run.config import Config
from probe.text.lexicon import DEFAULT

OCCUPATIONS = ("carpenter", "cook", "lawyer", "mechanic", "nurse", "secretary")
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # a process with OpenMP cannot be forked
os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # for the nodes of `Cluster`, on this machine
CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
SETTINGS: dict[str, dict[str, Any]] = {
    "fit": {"n_bootstrap": 100},
    "train": {
        **{"side": "both", "objective": "both", "width": 4, "unet_width": 4, "batch_size": 8},
        **{"n_examples": 40, "latent_steps": 4, "diffusion_steps": 4},
    },
    "generate": {"n_images": 4, "n_steps": 2},
    "evaluate": {"n_bootstrap": 100},
}


def prepare(folder: Path) -> list[str]:
    """Write brief settings and a small lexicon beside them; return the start of the command."""
    head, *entries = DEFAULT.read_text(encoding="utf-8").split("[[occupation]]")
    kept = [entry for entry in entries if entry.split('"')[1] in OCCUPATIONS]
    kept = [of.replace("train", "validation") if '"mechanic"' in of else of for of in kept]
    head = re.sub(r"(?s)test_pool = \[.*?\]", 'test_pool = ["cook", "lawyer", "nurse"]', head)
    head = re.sub(r'(?m)^test = \["car".*', 'test = ["car", "house"]', head)
    lexicon = folder / "lexicon.toml"
    lexicon.write_text("[[occupation]]".join([head, *kept]), encoding="utf-8")
    config = Config("tinytown")
    for table, settings in SETTINGS.items():
        config = config.with_settings(table, settings)
    (folder / "start").mkdir()
    config.write(folder / "start")
    return ["--model", "tinytown", "--lexicon", str(lexicon), "--seed", "3"]


class Attempt:
    """A process that does a command; ``end_before`` a change of the file system it kills itself."""

    def __init__(self, command: list[str], end_before: int | None = None) -> None:
        self._command, self._end_before = command, end_before
        self.process = multiprocessing.get_context("fork").Process(target=self._work)
        self.process.start()

    def _work(self) -> None:
        os.setsid()  # workers of Ray belong to the attempt
        count_changes(self._end_before)
        do(self._command)

    def end(self, seconds: float | None) -> int:
        """Wait so long, then kill what is left; return the exit code."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode or 0  # never None here


class Cluster:
    """Nodes of Ray on this machine with a core each; the first has the tables of the cluster."""

    def __init__(self, folder: Path, n_nodes: int) -> None:
        self._folder, self._n_nodes, self.address = folder, n_nodes, ""

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{(port := free.getsockname()[1])}"
        head = (f"--port={port}", f"--temp-dir={self._folder}", "--include-dashboard=false")
        try:
            self.add_node("--head", *head)
            for _ in range(self._n_nodes - 1):
                self.add_node()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kill(self._processes())

    def kill_node(self) -> None:
        """Kill the node that was started last, with all that works on it."""
        *_, last = sorted(self._processes("raylet"), key=psutil.Process.create_time)
        self._kill([*last.children(recursive=True), last])

    def kill_worker(self) -> bool:
        """Kill a worker that has a job; return whether there was one."""
        for node in self._processes("raylet"):
            for process in node.children():
                with suppress(psutil.NoSuchProcess):
                    if "_Worker" in process.cmdline()[0]:
                        process.kill()
                        return True
        return False

    def add_node(self, *options: str) -> None:
        """Start a node, one that joins the others if there are no ``options``; wait until it is."""
        ray = Path(sys.executable).with_name("ray")
        small = ("--num-cpus=1", "--object-store-memory=100000000")
        for _ in range(3):  # on a busy machine, Ray may be too slow for itself
            words = options or (f"--address={self.address}",)
            done = subprocess.run([ray, "start", *words, *small], stdout=subprocess.DEVNULL)
            if done.returncode == 0:
                return
        raise click.ClickException("Ray does not start; see above")

    def _processes(self, name: str = "") -> list[psutil.Process]:
        """Find the processes of the cluster by their command, which names its folder."""
        found = psutil.process_iter(["cmdline"])
        commands = [(of, of.info["cmdline"] or [""]) for of in found]
        ours = [of for of in commands if str(self._folder) in " ".join(of[1])]
        return [process for process, words in ours if words[0].endswith(name)]

    @staticmethod
    def _kill(processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def do(command: list[str]) -> None:
    """Do a command without its output; `SystemExit` tells its exit code."""
    from cli.main import main

    with redirect_stdout(io.StringIO()):
        main(command)


def count_changes(end_before: int | None = None) -> Counter[str]:
    """Count the changes of the file system of this process, and kill it before the given one."""
    counts: Counter[str] = Counter()

    def count(event: str, _: tuple[object, ...]) -> None:
        if event in CHANGES:
            if counts.total() == end_before:
                os.kill(os.getpid(), signal.SIGKILL)
            counts[event] += 1

    sys.addaudithook(count)
    return counts


def hashes(run: Path) -> dict[str, str]:
    """Hash every file by its name, but the lock, whose file stays."""
    paths = (path for path in run.rglob("*") if path.name != ".lock" or path.parent != run)
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in paths
    }


def is_locked(run: Path) -> bool:
    """Whether a process still has the lock of a run."""
    try:
        with exclusive(run):
            return False
    except BusyError:
        return True


def harm(cluster: Cluster, attempt: Attempt, seconds: float, *, node: bool) -> Counter[str]:
    """Kill a node, or else a worker, when the attempt has worked so long; count what was killed."""
    attempt.process.join(seconds)
    while attempt.process.is_alive():
        if node:
            cluster.kill_node()
            cluster.add_node()
            return Counter(nodes=1)
        if cluster.kill_worker():
            return Counter(workers=1)
        attempt.process.join(0.1)
    return Counter()


def differences(run: Path, expected: dict[str, str]) -> list[str]:
    """Name the files that are not as expected, and the lock if there is one."""
    made = hashes(run)
    names = sorted(expected.keys() | made.keys())
    return [of for of in names if expected.get(of) != made.get(of)] + ["locked"] * is_locked(run)


@click.command()
@click.option("--n-runs", default=20, show_default=True, help="Runs at least.")
@click.option("--n-kills", default=200, show_default=True, help="Kills of all runs at least.")
@click.option("--workers", type=int, help="Workers of Ray, on a node each; without, one process.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
@click.option("--keep", is_flag=True, help="Keep the folders if files differ.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    n_runs: int, n_kills: int, workers: int | None, seed: int, keep: bool, as_json: bool
) -> None:
    """Kill runs, and count the files that differ from those of a run that was left alone."""
    import torch

    torch.set_num_threads(1)
    here, rng = Path(tempfile.mkdtemp(prefix="kill-")), random.Random(seed)
    options = prepare(here)

    def begin(name: str) -> tuple[Path, list[str]]:
        run = here / name / "run"  # the report shows the name of the folder
        shutil.copytree(here / "start", run)
        return run, ["run", str(run), *options]

    whole, command = begin("alone")
    changes, begun = count_changes(), time.perf_counter()
    with suppress(SystemExit):
        do(command)
    seconds, n_changes = time.perf_counter() - begun, changes.total()
    expected, found = hashes(whole), Counter({"runs": 0, "kills": 0, "starts": 0})
    result: dict[str, Any] = {"files": len(expected), "seconds_alone": round(seconds, 1)}
    wrong: dict[str, list[str]] = {}
    n_each = -(-n_kills // n_runs)
    with nullcontext() if workers is None else Cluster(here / "ray", workers) as cluster:
        if cluster:
            options += ["--executor", "ray", "--address", cluster.address, f"--workers={workers}"]
            run, command = begin("ray")
            begun = time.perf_counter()
            code = Attempt(command).end(None)
            result["seconds_alone_ray"] = round(seconds := time.perf_counter() - begun, 1)
            wrong |= {"ray": lines} if (lines := differences(run, expected)) else {}
        while found["runs"] < n_runs or found["kills"] < n_kills:
            number = str(found["runs"])
            run, command = begin(number)
            lines = []
            for kill in range(n_each + 1):
                # On average, the kills are spread over all of the work.
                share, is_last = rng.uniform(0, 2 / (n_each + 1)), kill == n_each
                before = int(share * n_changes) if kill % 2 and not is_last else None
                limit = None if before is not None or is_last else share * seconds
                begun = time.perf_counter()
                attempt = Attempt(command, before)
                if cluster:
                    moment = rng.random() * (seconds / 2 if limit is None else limit)
                    found += harm(cluster, attempt, moment, node=is_last)
                passed = time.perf_counter() - begun
                code = attempt.end(limit and max(0.0, limit - passed))
                found += Counter(starts=1, kills=code == -signal.SIGKILL)
                if code not in (0, -signal.SIGKILL):
                    lines.append(f"exit code {code} at start {kill + 1}")
                if code == 0:
                    break
            lines += differences(run, expected)
            found["runs"] += 1
            click.echo(f"{dict(found)}: {lines or 'equal'}", err=True)
            if lines:
                wrong[number] = lines[:20]
            else:
                shutil.rmtree(run.parent)
    result = {**found, **result, "wrong": wrong}
    click.echo(json.dumps(result, indent=2) if as_json else "\n".join(map(str, result.items())))
    if keep and wrong:
        click.echo(f"kept: {here}", err=True)
    else:
        shutil.rmtree(here)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
