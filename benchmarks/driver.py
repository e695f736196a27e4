"""What the driver needs at the sizes of large audits, where no model looks at anything.

``python benchmarks/driver.py [--only embed|evaluate|resume] [--scale 1.0] [--json]``. Each figure
is measured in a process of its own, in processor seconds, so that it needs no idle machine:

- ``embed``: the store of 10,000 and of 1,000,000 prompts, by an encoder that does nothing.
- ``evaluate``: the figures of 10,000 and of 100,000 labelled images, 2,000 resamples.
- ``resume``: the images of a plan of 100,000 of which 1 % are missing, drawn by workers that do
  nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import numpy as np

SIZES = {
    "embed": (10_000, 1_000_000),
    "evaluate": (10_000, 100_000),
    "resume": (10_000, 100_000),
}
Clock = Callable[[], None]


class NoEncoder:
    """An encoder whose vectors are ones."""

    id, revision, n_features = "none", "0", 32

    def embed(self, prompts: list[str], *, progress: object = None) -> Any:
        """Return (n_prompts, n_features) ones."""
        return np.ones((len(prompts), self.n_features), np.float32)


def embed(n: int, folder: Path, start: Clock) -> None:
    """Fill a store of n prompts."""
    from probe.text.embeddings import EmbeddingStore
    from probe.text.lexicon import Lexicon
    from probe.text.prompts import PromptSet

    table = PromptSet.build(Lexicon.load()).table.head(1)
    table = table.loc[table.index.repeat(n)].reset_index(drop=True)
    prompts = PromptSet(table.assign(prompt=[f"a photo of nurse {at}" for at in range(n)]))
    start()
    encoder: Any = NoEncoder()
    EmbeddingStore(folder).update(encoder, prompts)


def evaluate(n: int, folder: Path, start: Clock) -> None:
    """Measure n labelled images of both sides, with two attributes."""
    import pandas as pd

    from probe.io.artifacts import Provenance, read_table, write_table
    from probe.run.evaluation.measurement import SIDES, Measurement
    from probe.run.evaluation.other_attributes import other_attributes
    from probe.run.evaluation.side_effects import comparable_quality
    from probe.stats.resampling import Resampling
    from probe.text.lexicon import Lexicon

    lexicon, rng = Lexicon.load(), np.random.default_rng(0)
    n_each = next(of for of in range(4, n) if len(plan_of(lexicon, of)) * 2 >= n)
    plan = plan_of(lexicon, n_each)
    attributes = {"gender": ["woman", "man"], "age": ["young", "old"]}
    table = plan.assign(split=plan["subject"].map(lexicon.split_of), subject_seen=plan["subject"])
    sides = []
    for side in SIDES:
        seen = {name: rng.choice(values, len(table)) for name, values in attributes.items()}
        keys = [f"{side if number % 2 else ''}{number}" for number in range(len(table))]
        scores = rng.normal(25, 3, len(table))
        sides.append(table.assign(side=side, key=keys, clip_score=scores, **seen))
    made = Provenance("labels", "none", "0", 0, "0")
    write_table(folder / "labels.parquet", pd.concat(sides, ignore_index=True), made)
    start()
    measured = Measurement(
        labels=read_table(folder / "labels.parquet", kind="labels")[0],
        attributes=attributes,
        attribute="gender",
        asked={"female": "woman", "male": "man"},
        resampling=Resampling(),
    )
    measured.shares()
    measured.quality()
    comparable_quality(measured, clip_margin=1.0, recognition_margin=0.05)
    other_attributes(measured)


def plan_of(lexicon: Any, n_images: int) -> Any:
    """Rows of the plan of an audit."""
    from probe.images.plan import GenerationPlan

    return GenerationPlan.build(lexicon, n_images=n_images, seed=0).table


def resume(n: int, folder: Path, start: Clock) -> None:
    """Make the last hundredth of n images."""
    import pandas as pd
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from probe.images.generation import generate
    from probe.images.pipelines import load_pipeline
    from probe.images.plan import GenerationPlan, planned_rows

    rows = (planned_rows("neutral", f"job {at}", [f"a job {at}"], n // 100, 0) for at in range(100))
    plan = GenerationPlan(pd.DataFrame([row for of in rows for row in of]))

    def png(key: str) -> bytes:
        note, file = PngInfo(), BytesIO()
        note.add_text("key", key)
        Image.new("L", (1, 1)).save(file, "PNG", pnginfo=note)
        return file.getvalue()

    def fill(_: object, pieces: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, list[bytes]]]:
        names = iter(plan.table["file_name"][: len(plan) * 99 // 100])
        for _, part in pieces:
            for key, name in zip(part.keys, names, strict=False):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(png(key))
        yield from ()

    def finish(_: object, pieces: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, list[bytes]]]:
        yield from ((number, [png(key) for key in part.keys]) for number, part in pieces)

    pipeline = load_pipeline("tinytown")
    options: dict[str, Any] = {"guidance_scale": 3.0, "n_steps": 10, "revision": "0"}
    options["batch_size"] = 100
    generate(pipeline, plan, folder, distribute=fill, **options)
    start()
    generate(pipeline, plan, folder, distribute=finish, **options)


def measure(name: str, n: int, send: Any) -> None:
    """Send what one job takes, in this process."""
    import torch

    torch.set_num_threads(1)
    begun = [0.0, 0.0]

    def start() -> None:
        begun[:] = time.process_time(), time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        {"embed": embed, "evaluate": evaluate, "resume": resume}[name](n, Path(folder), start)
        seconds = time.process_time() - begun[0], time.perf_counter() - begun[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    send.send(
        {"processor_s": round(seconds[0], 1), "s": round(seconds[1], 1), "peak_mb": round(peak)}
    )


@click.command()
@click.option("--only", type=click.Choice(tuple(SIZES)), multiple=True, help="Only these figures.")
@click.option("--scale", default=1.0, show_default=True, help="Factor of all sizes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(only: tuple[str, ...], scale: float, as_json: bool) -> None:
    """Measure each job at two sizes, the small one first."""
    spawn, found = multiprocessing.get_context("spawn"), {}
    for name in only or SIZES:
        for n in (int(scale * size) for size in SIZES[name]):
            receive, send = spawn.Pipe(duplex=False)
            process = spawn.Process(target=measure, args=(name, n, send))
            process.start()
            send.close()
            found[f"{name} {n:,}"] = row = receive.recv()
            process.join()
            click.echo(f"{name} {n:,}: {row}", err=True)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(map(str, found.items())))


if __name__ == "__main__":
    main()
