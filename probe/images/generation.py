"""Generate the images of a plan, each once, into a folder with keys of what they were made from."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image

from probe.images.cpu_workers import CpuWorkers
from probe.images.denoising import (
    KEY,
    Drawing,
    Part,
    denoised_together,
    largest_batch,
    open_drawing,
)
from probe.images.intervention import Condition, Intervention, corrected
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model
from probe.images.models.model import ImageModel
from probe.images.plan import GenerationPlan, read_metadata, write_metadata
from probe.images.reading import open_file
from probe.io.artifacts import atomic, hash_parts
from probe.io.executors import Distribute, Results
from probe.io.progress import Progress

__all__ = ["GenerationPlan", "generate"]

Write = Callable[[int, list[bytes]], None]

_CHUNK = 1024  # conditions whose states are made together at most
_CHUNK_BYTES = 2**28  # 1024 of Stable Diffusion v1, 32 of FLUX.1
_N_CHUNKS = 2  # in memory


def generate(
    pipeline: Any,
    plan: GenerationPlan,
    folder: Path,
    *,
    guidance_scale: float,
    n_steps: int,
    revision: str,
    intervention: Intervention | None = None,
    batch_size: int | None = None,
    reuse: Path | Sequence[Path] | None = None,
    known: dict[str, Conditions] | None = None,
    progress: Progress | None = None,
    distribute: Distribute | None = None,
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
    ``batch_size`` is `largest_batch`; it is halved where memory does not suffice. Images of
    the folders ``reuse`` are copied where the key is the same. ``known`` has states of prompts that
    were encoded before; new ones are added. With ``distribute``, workers make the parts, and this
    process writes the same files.

    Returns the plan's table with a column ``key``.
    """
    if n_steps < 1 or guidance_scale < 0:
        raise ValueError(
            f"n_steps is {n_steps} and guidance_scale {guidance_scale}; needed at least 1 and 0"
        )
    size = batch_size or largest_batch(pipeline, guidance_scale)
    settings = f"{revision} guidance={float(guidance_scale)!r} steps={n_steps}"
    method = intervention or Intervention()
    prompts, seeds = plan.table["prompt"].tolist(), plan.table["seed"].tolist()
    model = image_model(pipeline)
    dtype = getattr(pipeline, "dtype", torch.float32)
    settings += "" if dtype == torch.float32 else f" {dtype}"
    with torch.no_grad():
        conditions = method.conditions(prompts, seeds)
        distinct, known = list(dict.fromkeys(conditions)), {} if known is None else known
        given = _conditions_when_needed(model, method, distinct, known)
        signatures = {condition: method.signature(condition) for condition in distinct}
        keys = _keys(conditions, seeds, given, signatures, settings)
        table = plan.table.assign(**{KEY: keys}).reset_index(drop=True)
        earlier = [reuse] if isinstance(reuse, Path) else reuse or ()
        made = {key: path for one in earlier for key, path in _images_by_key(one).items()}
        is_made = table[KEY].isin(made.keys())
        done = 0
        for row in table[is_made].itertuples():
            _copy(made[row.key], folder / row.file_name, row.key)
            done = _report(progress, done + 1, len(table))
        new, changes = table[~is_made], any(signatures.values())
        empty = _encoded(model, [""], known)[0] if model.is_guided(guidance_scale) else None
        drawing = Drawing.start(guidance_scale, n_steps, empty, method)

        def divide(n: int) -> list[slice]:
            # A method that changes the denoiser may compute on few rows of a part.
            return [slice(n)] if changes else denoised_together(n, model.device)

        batches = [new.iloc[start : start + size] for start in range(0, len(new), size)]
        parts = [batch.iloc[part] for batch in batches for part in divide(len(batch))]

        def files_of(number: int) -> list[Path]:
            return [folder / name for name in parts[number]["file_name"]]

        def missing() -> Iterator[tuple[int, Part]]:
            """Yield the parts of which an image is missing; the others count as done."""
            nonlocal done
            for number, rows in enumerate(parts):
                keys = rows[KEY].tolist()
                if [_stored_key(file) for file in files_of(number)] == keys:
                    done = _report(progress, done + len(rows), len(table))
                    continue
                under = [conditions[row] for row in rows.index]
                stacked = Conditions.stack([given(condition) for condition in under])
                files = rows["file_name"].tolist()
                yield number, Part(under, stacked, rows["seed"].tolist(), keys, files)

        def write(number: int, pngs: list[bytes]) -> None:
            _write(folder, parts[number]["file_name"], pngs)

        if distribute is None:
            n_together = len(divide(min(size, len(new))))
            finished = _draw_here(pipeline, drawing, missing(), write, n_together)
        else:
            # A method may be large, and its states are in the parts.
            sent = drawing if changes else drawing._replace(method=Intervention())
            name = str(dtype).removeprefix("torch.")
            opener = partial(open_drawing, sent, torch.get_num_threads(), name)
            folder.mkdir(parents=True, exist_ok=True)
            finished = _written(distribute(opener, missing(), (folder, _write_part)), write)
        with closing(finished):
            for number in finished:
                done = _report(progress, done + len(parts[number]), len(table))
    _remove_unplanned(folder, set(table["file_name"]))
    write_metadata(folder, table)
    return table


def _draw_here(
    pipeline: Any,
    drawing: Drawing,
    parts: Iterable[tuple[int, Part]],
    write: Write,
    n_together: int,
) -> Generator[int, None, None]:
    """Make and write the images of parts; yield the number of each part that is done."""
    cpu = CpuWorkers(pipeline, n_together)
    is_offloaded = image_model(pipeline).is_offloaded

    def finish(number: int, part: Part, latents: torch.Tensor | None) -> int:
        latents = drawing.latents(cpu.pipeline, part) if latents is None else latents
        write(number, drawing.pngs(cpu.pipeline, latents, part.keys))
        return number

    def pieces() -> Iterator[Callable[[], int]]:
        """Yield the work on each part that runs on another thread."""
        for number, part in parts:
            latents = drawing.latents(pipeline, part) if cpu.n == 1 else None
            yield partial(finish, number, part, latents)

    if is_offloaded:  # decoding would move the denoiser away while it computes
        yield from (finish(number, part, None) for number, part in parts)
    else:
        yield from cpu.run(pieces())


def _write_part(folder: Path, part: Part, pngs: list[bytes]) -> None:
    _write(folder, part.files, pngs)


def _write(folder: Path, names: Iterable[str], pngs: list[bytes]) -> None:
    for name, png in zip(names, pngs, strict=True):
        with atomic(folder / name) as temporary:
            temporary.write_bytes(png)


def _written(drawn: Results[int], write: Write) -> Generator[int, None, None]:
    with closing(drawn):
        for number, pngs in drawn:
            if pngs is not None:  # or else the worker has written them
                write(number, pngs)
            yield number


def _conditions_when_needed(
    model: ImageModel,
    method: Intervention,
    distinct: list[Condition],
    known: dict[str, Conditions],
) -> Callable[[Condition], Conditions]:
    """Return a function to what a condition gives the model, which keeps that of few in memory.

    It is made in chunks of consecutive conditions, so that it does not depend on the order in
    which it is asked for. A million prompts of Stable Diffusion would need 236 GB.
    """
    rows = {condition: row for row, condition in enumerate(distinct)}
    n_bytes = sum(
        array.nbytes
        for one in _encoded(model, [of.prompt for of in distinct[:1]], known)
        for array in one.arrays()
    )
    size = min(_CHUNK, max(1, _CHUNK_BYTES // max(1, n_bytes)))

    @lru_cache(maxsize=_N_CHUNKS)
    @torch.no_grad()
    def chunk(number: int) -> Conditions:
        some = distinct[number * size : (number + 1) * size]
        plain = Conditions.stack(_encoded(model, [of.prompt for of in some], known))
        for prompt in list(known)[:-size]:
            del known[prompt]
        return corrected(model, method, some, plain)

    def given(condition: Condition) -> Conditions:
        number, row = divmod(rows[condition], size)
        return chunk(number)[row : row + 1]

    return given


def _encoded(
    model: ImageModel, prompts: list[str], known: dict[str, Conditions]
) -> list[Conditions]:
    new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
    known.update(zip(new, model.encode(new), strict=True))
    return [known[prompt] for prompt in prompts]


def _keys(
    conditions: list[Condition],
    seeds: list[int],
    given: Callable[[Condition], Conditions],
    signatures: dict[Condition, str],
    settings: str,
) -> list[str]:
    hashes = {of: hash_parts(*given(of).arrays()) for of in signatures}
    changed = {of: (name,) if name else () for of, name in signatures.items()}
    return [
        hash_parts(hashes[condition], str(seed), settings, *changed[condition])
        for condition, seed in zip(conditions, seeds, strict=True)
    ]


def _images_by_key(folder: Path) -> dict[str, Path]:
    table = read_metadata(folder)
    return {key: folder / name for key, name in zip(table[KEY], table["file_name"], strict=True)}


def _stored_key(path: Path) -> str | None:
    try:
        with open_file(path) as image:
            return image.info.get(KEY)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # none, or damaged
        return None


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
