"""Generate the images of a plan, each once, into a folder with keys of what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from probe.images.cpu_workers import CpuWorkers
from probe.images.denoising import (
    decode,
    denoise,
    denoised_together,
    encode,
    fitting_batch,
    noise,
)
from probe.images.intervention import Condition, Intervention
from probe.images.plan import GenerationPlan, read_metadata, write_metadata
from probe.images.reading import open_file
from probe.io.artifacts import atomic, hash_parts
from probe.io.progress import Progress

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

__all__ = ["GenerationPlan", "generate", "noise"]

_KEY = "key"


def generate(
    pipeline: StableDiffusionPipeline,
    plan: GenerationPlan,
    folder: Path,
    *,
    guidance_scale: float,
    n_steps: int,
    revision: str,
    intervention: Intervention | None = None,
    batch_size: int | None = None,
    precision: str = "fp32",
    reuse: Path | Sequence[Path] | None = None,
    known: dict[str, torch.Tensor] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Generate the images of a plan, each once, and describe them in ``metadata.jsonl``.

    An image's key, stored in its file, is the hash of everything it is made from: conditioning
    states, noise, guidance, steps, weights, and what a method changes in the denoiser. An image
    whose key is present is not generated again. Batches and their parts depend on the plan only and
    a part is made as a whole, so that an interruption does not change a bit. Parts run concurrently
    on a CPU; otherwise each is decoded and written while the next is denoised. After an error or
    Ctrl-C, running parts are finished.

    ``folder`` becomes an imagefolder: PNGs and ``metadata.jsonl``, which is written last. A
    ``guidance_scale`` of 1 is no guidance; ``revision`` is that of the pipeline's weights. The base
    model generates where there is no ``intervention``, from the same noise. By default the
    ``batch_size`` is what fits in a few GB; ``precision`` (see `arithmetic`) is the denoiser's.
    Images of the folders ``reuse`` are copied where the key is the same. ``known`` has states of
    prompts that were encoded before; new ones are added.

    Returns the plan's table with a column ``key``.
    """
    if n_steps < 1 or guidance_scale < 0:
        raise ValueError(
            f"n_steps is {n_steps} and guidance_scale {guidance_scale}; needed at least 1 and 0"
        )
    size = batch_size or fitting_batch(pipeline)
    settings = f"{revision} guidance={float(guidance_scale)!r} steps={n_steps}"
    settings += "" if precision == "fp32" else f" {precision}"
    method = intervention or Intervention()
    known = {} if known is None else known
    prompts, seeds = plan.table["prompt"].tolist(), plan.table["seed"].tolist()
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        conditions = method.conditions(prompts, seeds)
        distinct = list(dict.fromkeys(conditions))
        plain = torch.stack(_encoded(pipeline, [of.prompt for of in distinct], known))
        states = dict(zip(distinct, method.correct(distinct, plain), strict=True))
        signatures = {condition: method.signature(condition) for condition in distinct}
        keys = _keys(conditions, seeds, states, signatures, settings)
        table = plan.table.assign(**{_KEY: keys}).reset_index(drop=True)
        earlier = [reuse] if isinstance(reuse, Path) else reuse or ()
        made = {key: path for one in earlier for key, path in _images_by_key(one).items()}
        is_made = table[_KEY].isin(made.keys())
        done = 0
        for row in table[is_made].itertuples():
            _copy(made[row.key], folder / row.file_name, row.key)
            done = _report(progress, done + 1, len(table))
        new = table[~is_made]
        empty = _encoded(pipeline, [""], known)[0] if guidance_scale > 1 else None

        def divide(n: int) -> list[slice]:
            # A method that changes the denoiser may compute on few rows of a part.
            whole = any(signatures.values())
            return [slice(n)] if whole else denoised_together(n, pipeline.unet.device)

        workers = CpuWorkers(pipeline, len(divide(min(size, len(new)))))

        def latents_of(rows: pd.DataFrame) -> torch.Tensor:
            under = [conditions[row] for row in rows.index]
            with method.denoising(workers.pipeline, under):
                return denoise(
                    workers.pipeline,
                    torch.stack([states[condition] for condition in under]),
                    empty,
                    [int(seed) for seed in rows["seed"]],
                    guidance_scale=guidance_scale,
                    n_steps=n_steps,
                    precision=precision,
                )

        def finish(rows: pd.DataFrame, files: list[Path], latents: torch.Tensor | None) -> int:
            latents = latents_of(rows) if latents is None else latents
            images = decode(workers.pipeline, latents)
            for file, image, key in zip(files, images, rows[_KEY], strict=True):
                _write(file, image, key)
            return len(rows)

        def pieces() -> Iterator[Callable[[], int]]:
            """Yield the work on each part that runs on another thread."""
            for start in range(0, len(new), size):
                batch = new.iloc[start : start + size]
                for part in divide(len(batch)):
                    rows = batch.iloc[part]
                    files = [folder / name for name in rows["file_name"]]
                    if [_stored_key(file) for file in files] == rows[_KEY].tolist():
                        yield partial(len, rows)
                    elif workers.n > 1:
                        yield partial(finish, rows, files, None)
                    else:
                        yield partial(finish, rows, files, latents_of(rows))

        with closing(workers.run(pieces())) as finished:
            for n in finished:
                done = _report(progress, done + n, len(table))
    _remove_unplanned(folder, set(table["file_name"]))
    write_metadata(folder, table)
    return table


def _encoded(
    pipeline: StableDiffusionPipeline, prompts: list[str], known: dict[str, torch.Tensor]
) -> list[torch.Tensor]:
    new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
    known.update(zip(new, encode(pipeline, new), strict=True))
    return [known[prompt] for prompt in prompts]


def _keys(
    conditions: list[Condition],
    seeds: list[int],
    states: dict[Condition, torch.Tensor],
    signatures: dict[Condition, str],
    settings: str,
) -> list[str]:
    hashes = {of: hash_parts(np.asarray(s.float().cpu().numpy())) for of, s in states.items()}
    changed = {of: (name,) if name else () for of, name in signatures.items()}
    return [
        hash_parts(hashes[condition], str(seed), settings, *changed[condition])
        for condition, seed in zip(conditions, seeds, strict=True)
    ]


def _images_by_key(folder: Path) -> dict[str, Path]:
    table = read_metadata(folder)
    return {key: folder / name for key, name in zip(table[_KEY], table["file_name"], strict=True)}


def _stored_key(path: Path) -> str | None:
    try:
        with open_file(path) as image:
            return image.info.get(_KEY)
    except (FileNotFoundError, UnidentifiedImageError):
        return None


def _write(path: Path, image: Image.Image, key: str) -> None:
    note = PngInfo()
    note.add_text(_KEY, key)
    with atomic(path) as temporary:
        image.save(temporary, pnginfo=note)


def _copy(source: Path, path: Path, key: str) -> None:
    if _stored_key(path) != key:
        with atomic(path) as temporary:
            temporary.write_bytes(source.read_bytes())


def _remove_unplanned(folder: Path, planned: set[str]) -> None:
    """Remove images of an earlier plan: every image of an imagefolder needs metadata."""
    for path in sorted(folder.rglob("*.png")):
        if path.relative_to(folder).as_posix() not in planned and _stored_key(path):
            path.unlink()


def _report(progress: Progress | None, done: int, total: int) -> int:
    if progress is not None:
        progress(done, total)
    return done
