"""A run that is killed again and again ends in the files of one that was left alone.

``python benchmarks/kill.py [--n-kills 200] [--n-runs 20] [--workers N] [--seed 0] [--json]``

Runs of the laboratory model are killed by SIGKILL, ``n_kills`` times in all, and started again by
the same command until they have ended: half of the kills at a random moment, half just before a
change of the file system (a rename, a removal, a new folder) that is drawn at random. Then every
file is compared with that of a run that was left alone, and the folder is searched for other files
and locks. ``--workers`` gives the work to workers of Ray, and kills the driver.

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
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import click

from probe.errors import BusyError
from probe.io.files import exclusive
from probe.run.config import Config
from probe.text.lexicon import DEFAULT

OCCUPATIONS = ("carpenter", "cook", "lawyer", "mechanic", "nurse", "secretary")
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"  # a process with OpenMP cannot be forked
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
        code = self.process.exitcode
        assert code is not None  # noqa: S101
        return code


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


@click.command()
@click.option("--n-runs", default=20, show_default=True, help="Runs at least.")
@click.option("--n-kills", default=200, show_default=True, help="Kills of all runs at least.")
@click.option("--workers", type=int, help="Workers of Ray; without, one process.")
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
    ray = [] if workers is None else ["--executor", "ray", "--workers", str(workers)]

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
    wrong: dict[str, list[str]] = {}
    n_each = -(-n_kills // n_runs)
    while found["runs"] < n_runs or found["kills"] < n_kills:
        number = str(found["runs"])
        run, command = begin(number)
        lines: list[str] = []
        for kill in range(n_each + 1):
            # On average, the kills are spread over all of the work.
            share, is_last = rng.uniform(0, 2 / (n_each + 1)), kill == n_each
            before = int(share * n_changes) if kill % 2 and not is_last else None
            limit = None if before is not None or is_last else share * seconds
            code = Attempt(command + ray, before).end(limit)
            found += Counter(starts=1, kills=code == -signal.SIGKILL)
            if code not in (0, -signal.SIGKILL):
                lines.append(f"exit code {code} at start {kill + 1}")
            if code == 0:
                break
        made = hashes(run)
        names = sorted(expected.keys() | made.keys())
        lines += [name for name in names if expected.get(name) != made.get(name)]
        lines += ["locked"] * is_locked(run)
        found["runs"] += 1
        click.echo(f"{dict(found)}: {lines or 'equal'}", err=True)
        if lines:
            wrong[number] = lines[:20]
        else:
            shutil.rmtree(run.parent)
    result = {**found, "files": len(expected), "seconds_alone": round(seconds, 1), "wrong": wrong}
    click.echo(json.dumps(result, indent=2) if as_json else "\n".join(map(str, result.items())))
    if keep and wrong:
        click.echo(f"kept: {here}", err=True)
    else:
        shutil.rmtree(here)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
