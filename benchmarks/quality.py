"""Memory and time of FID and KID over many images: ``python benchmarks/quality.py [--json]``.

Two sets of 64 x 64 noise images are on disk. For each number of images, a fresh process compares
them as `evaluate` does, with tinytown's CLIP: FID from moments accumulated over batches, KID from a
random sample. The sets repeat a few thousand distinct files; every repetition is read, decoded and
encoded again.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image

from probe.images.quality.features import FeatureExtractor
from probe.images.quality.frechet import fid
from probe.images.quality.kid import MAX_ROWS, kid
from probe.text.checkpoints import resolve_model

N_FILES = 2000
"""Distinct images of each set."""


@click.command()
@click.option("--n-images", "sizes", multiple=True, type=int, help="In both sets; repeat it.")
@click.option("--threads", default=1, show_default=True, help="Cores to use.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(sizes: tuple[int, ...], threads: int, folder: Path | None, as_json: bool) -> None:
    """Measure peak memory and seconds for each number of images (10,000 by default)."""
    if folder is not None:
        torch.set_num_threads(threads)
        click.echo(json.dumps(compare(folder, sizes[0])))
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        write_pictures(Path(place))
        for n in sizes or (10_000,):
            options = ["--folder", place, "--n-images", str(n), "--threads", str(threads)]
            command = [sys.executable, __file__, *options]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(found.stdout))
            if not as_json:
                line = (f"{name} {value}" for name, value in rows[-1].items())
                click.echo("  ".join(line))
    if as_json:
        click.echo(json.dumps(rows, indent=1))


def write_pictures(folder: Path) -> None:
    """Write two sets of coarse noise, the second slightly brighter."""
    for name, shift in (("a", 0), ("b", 8)):
        rng = np.random.default_rng(shift)
        (folder / name).mkdir()
        for number in range(N_FILES):
            coarse = (rng.integers(0, 248, size=(8, 8, 3)) + shift).astype(np.uint8)
            pixels = coarse.repeat(8, axis=0).repeat(8, axis=1)
            Image.fromarray(pixels).save(folder / name / f"{number:05d}.png", compress_level=1)


def compare(folder: Path, n_images: int) -> dict[str, Any]:
    """Compare two sets of half as many pictures each, in this process."""
    extractor = FeatureExtractor.load(resolve_model("tinytown") / "clip")
    before, start, n = _peak(), time.perf_counter(), n_images // 2
    sets = []
    for name in ("a", "b"):
        files = sorted(map(str, (folder / name).iterdir()))
        sets.append([files[place % len(files)] for place in range(n)])
    distance = fid(*(extractor.chunks(of) for of in sets))
    rng = np.random.default_rng(0)
    drawn = [[of[row] for row in rng.permutation(n)[:MAX_ROWS]] for of in sets]
    kernel = kid(*(extractor.extract(of) for of in drawn))
    return {
        "n_images": n_images,
        "peak_mib": _peak(),
        "peak_before_mib": before,
        "seconds": round(time.perf_counter() - start, 1),
        "fid": round(distance, 4),
        "kid": round(kernel.value, 4),
    }


def _peak() -> int:
    """Return the peak resident memory of this process, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


if __name__ == "__main__":
    main()
