"""What workers of Ray gain, and what they cost.

``python benchmarks/scale.py [--address HOST:PORT] [--json]``, with the laboratory model:

- ``driver_pieces_per_second``: how many pieces one driver gives out to workers that do nothing; by
  the clock, by a second of its processor (which needs no idle machine), and its peak memory in MB.
- ``start_seconds``: until the workers have started and imported what they need. They do this once
  for each command.
- ``speedup_workers``: two workers of one core against one, from the first result to the last.
- ``overhead``: a whole job with two workers that have started against this process with two
  threads; ``"all"`` is of the three jobs with the start.

The machine must be idle, with two cores for the workers: ``load`` says how busy it was.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from probe.images.generation import generate
from probe.images.plan import GenerationPlan, planned_rows, read_metadata
from probe.images.reading import ImageBytes
from probe.io.executors import RayExecutor
from probe.run.config import Config
from probe.run.evaluation import evaluators
from probe.run.folder import Run
from probe.text.embeddings import EmbeddingStore
from probe.text.prompts import PromptSet


def do_nothing() -> Callable[[Any], Any]:
    """Open nothing."""
    return lambda piece: piece


def open_all(run: Run) -> Callable[[Any], Any]:
    """Open every model once."""
    run.load_encoder()
    run.load_pipeline()
    evaluators.load_classifier(run)
    evaluators.load_clip(run)
    return lambda piece: piece


class Timed:
    """An executor that remembers when the results of its last job came."""

    is_shared = False

    def __init__(self, executor: RayExecutor) -> None:
        self.executor, self.times = executor, []

    def map(self, job: Any, pieces: Any) -> Iterator[Any]:
        """Yield what the executor yields."""
        self.times: list[float] = []
        for found in self.executor.map(job, pieces):
            self.times.append(time.perf_counter())
            yield found

    @property
    def rate(self) -> float:
        """Results a second after the first one of each worker; 0 of fewer than one more."""
        n = self.executor.n_workers
        if len(self.times) <= n:
            return 0.0
        return (len(self.times) - n) / (self.times[-1] - self.times[n - 1])


def embed(run: Run, folder: Path, n: int) -> None:
    """Embed n prompts."""
    jobs = [job.name for job in run.lexicon.occupations]
    words = [f"{jobs[number % len(jobs)]} number {number}" for number in range(n)]
    table = PromptSet.build(run.lexicon).table.head(1)
    rows = table.loc[table.index.repeat(n)].assign(prompt=[f"a photo of a {w}" for w in words])
    store = EmbeddingStore(folder / "store")
    store.update(
        run.load_encoder(), PromptSet(rows.reset_index(drop=True)), distribute=run.distribute
    )


def draw(run: Run, folder: Path, n: int) -> None:
    """Make n images."""
    import pandas as pd

    plan = GenerationPlan(
        pd.DataFrame(list(planned_rows("neutral", "nurse", ["a photo of a nurse"], n, 0)))
    )
    generate(
        run.load_pipeline(),
        plan,
        folder / "images",
        guidance_scale=3.0,
        n_steps=10,
        revision=run.revision,
        batch_size=25,
        distribute=run.distribute,
    )


def label(run: Run, folder: Path, n: int) -> None:
    """Look four times at n images (once takes five seconds), in pieces of 25, each at its own."""
    names = read_metadata(folder / "images")["file_name"].tolist() * 4
    contents = [ImageBytes.read(folder / "images" / name) for name in names]
    opener = partial(evaluators.open_models, run.lexicon, evaluators.seen_by(run))
    prompts = ["a photo of a nurse"] * 25
    pieces = ((at, (contents[at : at + 25], prompts)) for at in range(0, len(names), 25))
    if run.distribute is None:
        look = opener(run)
        for _, piece in pieces:
            look(piece)
        return
    for _ in run.distribute(opener, pieces):
        pass


@click.command()
@click.option("--address", help="Ray cluster; Ray is started on this machine if not given.")
@click.option("--n-pieces", default=[10_000, 100_000], multiple=True, show_default=True)
@click.option("--n-prompts", default=131_072, show_default=True)
@click.option("--n-images", default=400, show_default=True)
@click.option("--driver-only", is_flag=True, help="Only driver_pieces_per_second.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    address: str | None,
    n_pieces: tuple[int, ...],
    n_prompts: int,
    n_images: int,
    driver_only: bool,
    as_json: bool,
) -> None:
    """Measure with one worker, with two, and without any."""
    torch.set_num_threads(2)
    two = Timed(RayExecutor(address=address, n_workers=2))
    torch.set_num_threads(1)  # or the one worker has both cores
    one = Timed(RayExecutor(address=address, n_workers=1))
    torch.set_num_threads(2)
    found: dict[str, Any] = {"load": round(os.getloadavg()[0], 1), "driver_pieces_per_second": {}}
    for n in n_pieces:
        begun = time.process_time()
        for _ in two.map(do_nothing, ((number, number) for number in range(n))):
            pass
        found["driver_pieces_per_second"][n] = {
            "clock": round(two.rate),
            "processor": round(n / (time.process_time() - begun)),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        click.echo(f"{n:,}: {found['driver_pieces_per_second'][n]}", err=True)
    two.executor.close()
    run = Run(Path(), Config("tinytown"))
    jobs = {"embed": (embed, n_prompts), "generate": (draw, n_images), "label": (label, n_images)}
    jobs = {} if driver_only else jobs
    found |= {"speedup_workers": {}, "overhead": {}}
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        seconds: dict[Any, dict[str, float]] = {}
        rates: dict[Any, dict[str, float]] = {}
        for executor in (one, two, None) if jobs else ():
            n_workers = executor.executor.n_workers if executor else 0
            given = replace(run, executor=executor)
            seconds[n_workers], rates[n_workers] = {}, {}
            if executor is not None:
                begun = time.perf_counter()
                for _ in given.distribute(open_all, ((number, None) for number in range(8))):
                    pass
                seconds[n_workers]["start"] = time.perf_counter() - begun
            for job, (work, n) in jobs.items():
                begun = time.perf_counter()
                work(given, here / str(n_workers), n)
                seconds[n_workers][job] = time.perf_counter() - begun
                if executor is not None:
                    rates[n_workers][job] = executor.rate
            if executor is not None:
                executor.executor.close()
        for job in jobs:
            if rates[1][job] and rates[2][job]:
                found["speedup_workers"][job] = round(rates[2][job] / rates[1][job], 2)
            found["overhead"][job] = round(seconds[2][job] / seconds[0][job] - 1, 3)
        if jobs:
            together = sum(seconds[2].values()) / sum(seconds[0].values())
            found["overhead"]["all"] = round(together - 1, 3)
            found["start_seconds"] = {n: round(seconds[n]["start"], 1) for n in (1, 2)}
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(map(str, found.items())))


if __name__ == "__main__":
    main()
