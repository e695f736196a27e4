"""Make the pictures of a plan, each once: a folder of images that says what it was made from."""

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

from probe.images.cpu_workers import Streams
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
    reuse: Path | Sequence[Path] | None = None,
    known: dict[str, torch.Tensor] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Make the pictures of a plan, each once, and describe them in ``metadata.jsonl``.

    A picture's key is the hash of all that it is made from: the states that condition it, its
    noise, guidance, steps and weights, and what a method changes in the denoiser. It stands in the
    file, so that a picture which is already there is not made again. Batches and their parts are
    cut by the plan alone, and a part is made whole or not at all, so an interruption changes no
    bit. Parts are made side by side where that is faster, and otherwise each is decoded and written
    beside the next one; after an error or Ctrl-C, those begun are finished first.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline
        What denoises; see `probe.images.pipelines.load_pipeline`.
    plan : GenerationPlan
    folder : Path
        Follows the imagefolder convention: PNGs and ``metadata.jsonl``, which is written last.
    guidance_scale : float
        Weight of the prompt; 1 is no guidance.
    n_steps : int
        Denoising steps.
    revision : str
        Revision of the pipeline's weights.
    intervention : Intervention, optional
        The method that corrects; the noise stays the same. Without it, the base model.
    batch_size : int, optional
        Pictures in memory at once; by default what a few GB hold. On a CPU a large batch is made in
        parts, which is faster and changes no bit.
    reuse : Path or sequence of Path, optional
        Folders of earlier pictures: those with the same key are copied, not computed.
    known : dict of str to Tensor, optional
        The pipeline's states of prompts that were encoded before; those encoded here are added.
    progress : callable, optional
        Called with (pictures done, all pictures).

    Returns
    -------
    DataFrame
        The plan's table and a column ``key``.
    """
    if n_steps < 1 or guidance_scale < 0:
        raise ValueError(
            f"n_steps is {n_steps} and guidance_scale {guidance_scale}; needed at least 1 and 0"
        )
    size = batch_size or fitting_batch(pipeline)
    settings = f"{revision} guidance={float(guidance_scale)!r} steps={n_steps}"
    method = intervention or Intervention()
    device = pipeline.unet.device
    asked = plan.table["prompt"].tolist(), plan.table["seed"].tolist()
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        conditions = method.conditions(*asked)
        plain = {} if known is None else known
        states = _conditioning(pipeline, list(dict.fromkeys(conditions)), method, plain)
        names = {condition: method.signature(condition) for condition in states}
        keys = _keys(conditions, asked[1], states, names, settings)
        table = plan.table.assign(**{_KEY: keys}).reset_index(drop=True)
        earlier = [reuse] if isinstance(reuse, Path) else reuse or ()
        made = {key: path for folder in earlier for key, path in _pictures_by_key(folder).items()}
        is_made = table[_KEY].isin(made.keys())
        done = 0
        for row in table[is_made].itertuples():
            _copy(made[row.key], folder / row.file_name, row.key)
            done = _report(progress, done + 1, len(table))
        new = table[~is_made]
        empty = _encoded(pipeline, [""], plain)[0] if guidance_scale > 1 else None
        # A method that changes the denoiser may compute on few rows of what it is given.
        cut = _whole if any(names.values()) else partial(denoised_together, device=device)
        streams = Streams(pipeline, len(cut(min(size, len(new)))))

        def denoised(rows: pd.DataFrame) -> torch.Tensor:
            under = [conditions[row] for row in rows.index]
            with method.denoising(streams.pipeline, under):
                return denoise(
                    streams.pipeline,
                    torch.stack([states[condition] for condition in under]),
                    empty,
                    [int(seed) for seed in rows["seed"]],
                    guidance_scale=guidance_scale,
                    n_steps=n_steps,
                )

        def finish(rows: pd.DataFrame, files: list[Path], latents: torch.Tensor | None) -> int:
            latents = denoised(rows) if latents is None else latents
            images = decode(streams.pipeline, latents)
            for file, image, key in zip(files, images, rows[_KEY], strict=True):
                _write(file, image, key)
            return len(rows)

        def pieces() -> Iterator[Callable[[], int]]:
            """Cut the plan into parts, and give what is to do of each beside the next one."""
            for start in range(0, len(new), size):
                batch = new.iloc[start : start + size]
                for part in cut(len(batch)):
                    rows = batch.iloc[part]
                    files = [folder / name for name in rows["file_name"]]
                    if [_stored_key(file) for file in files] == rows[_KEY].tolist():
                        yield partial(len, rows)
                    elif streams.n > 1:
                        yield partial(finish, rows, files, None)
                    else:
                        yield partial(finish, rows, files, denoised(rows))

        with closing(streams.run(pieces())) as finished:
            for n in finished:
                done = _report(progress, done + n, len(table))
    _remove_unplanned(folder, set(table["file_name"]))
    write_metadata(folder, table)
    return table


def _conditioning(
    pipeline: StableDiffusionPipeline,
    conditions: list[Condition],
    method: Intervention,
    known: dict[str, torch.Tensor],
) -> dict[Condition, torch.Tensor]:
    states = torch.stack(_encoded(pipeline, [of.prompt for of in conditions], known))
    return dict(zip(conditions, method.correct(conditions, states), strict=True))


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
    hashes = {
        condition: hash_parts(np.asarray(state.float().cpu().numpy()))
        for condition, state in states.items()
    }
    changed = {of: (name,) if name else () for of, name in signatures.items()}
    return [
        hash_parts(hashes[condition], str(seed), settings, *changed[condition])
        for condition, seed in zip(conditions, seeds, strict=True)
    ]


def _whole(n: int) -> list[slice]:
    return [slice(n)]


def _pictures_by_key(folder: Path) -> dict[str, Path]:
    table = read_metadata(folder)
    return {key: folder / name for key, name in zip(table[_KEY], table["file_name"], strict=True)}


def _stored_key(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
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
    """Remove pictures of an earlier plan: an imagefolder may hold none that has no metadata."""
    for path in sorted(folder.rglob("*.png")):
        if path.relative_to(folder).as_posix() not in planned and _stored_key(path):
            path.unlink()


def _report(progress: Progress | None, done: int, total: int) -> int:
    if progress is not None:
        progress(done, total)
    return done
