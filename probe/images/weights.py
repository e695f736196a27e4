"""Weights of a pipeline: their precision and files, whether they fit, and where they are kept."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import torch

from probe.errors import MemoryLimitError, OptionError
from probe.images.memory import free_bytes
from probe.io.settings import DTYPES, OFFLOADS, one_of
from probe.text.checkpoints import HALF, is_half_file, weight_files

_STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Weights(NamedTuple):
    """How the weights of a pipeline are opened."""

    dtype: torch.dtype
    variant: str | None
    """``"fp16"`` to read files such as ``model.fp16.safetensors``."""


def choose_weights(
    folder: Path, parts: list[str], denoiser: str, *, device: torch.device, dtype: str, offload: str
) -> Weights:
    """Choose the precision and the files of the weights, and refuse those that do not fit.

    ``dtype`` ``"auto"`` is single precision on a CPU and, on an accelerator, the precision in which
    the denoiser is stored.

    Raises
    ------
    OptionError
        If the CPU should compute in float16 or offload.
    MemoryLimitError
        If the weights need more memory than is free.
    """
    one_of("dtype", dtype, DTYPES)
    one_of("offload", offload, OFFLOADS)
    files = {part: weight_files(folder / part) for part in parts}
    if device.type == "cpu":
        if dtype == "float16":
            raise OptionError(
                "dtype is float16 on a CPU, which computes in it slowly or not at all; choose "
                "bfloat16, float32 or auto"
            )
        if offload != "none":
            raise OptionError(
                f"offload is {offload!r} on a CPU, where the weights are already; choose --device "
                "cuda, or --offload none"
            )
    wanted = torch.float32 if dtype == "auto" else getattr(torch, dtype)
    if dtype == "auto" and device.type != "cpu" and files.get(denoiser):
        plain = [path for path in files[denoiser] if not is_half_file(path)]
        wanted = _stored_dtype((plain or files[denoiser])[0])
    only_half = any(paths and all(map(is_half_file, paths)) for paths in files.values())
    some_half = any(any(map(is_half_file, paths)) for paths in files.values())
    reads_half = only_half or (some_half and wanted == torch.float16)
    n_bytes = [_n_bytes(paths, wanted, reads_half=reads_half) for paths in files.values()]
    _check_room(folder, wanted, n_bytes, device, offload)
    return Weights(wanted, HALF if reads_half else None)


def place(pipeline: Any, *, device: torch.device, offload: str) -> None:
    """Move a pipeline to a device, or let its parts be moved there when they compute."""
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.to(device)


def _check_room(
    folder: Path, dtype: torch.dtype, n_bytes: list[int], device: torch.device, offload: str
) -> None:
    all_parts, largest = sum(n_bytes), max(n_bytes, default=0)
    on_device = {"none": all_parts, "model": largest, "sequential": 0}[offload]
    needed = {device: on_device}
    if offload != "none":
        needed[torch.device("cpu")] = all_parts
    for where, n in needed.items():
        if n > (free := free_bytes(where)):
            raise MemoryLimitError(
                f"the weights of {folder} take {n / 1e9:.1f} GB on {where} as "
                f"{str(dtype).removeprefix('torch.')}, where {free / 1e9:.1f} GB are free; choose "
                "--dtype bfloat16, --offload model or sequential (on a GPU), or a smaller model"
            )


def _n_bytes(paths: list[Path], dtype: torch.dtype, *, reads_half: bool) -> int:
    """Bytes of a part's weights in a precision."""
    read = [path for path in paths if is_half_file(path) == reads_half] or paths
    return sum(
        path.stat().st_size * dtype.itemsize // _stored_dtype(path).itemsize for path in read
    )


def _stored_dtype(path: Path) -> torch.dtype:
    """Read the precision of the first weight from the header of a safetensors file."""
    try:
        with path.open("rb") as file:
            (n,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(n, 2**24)))
        kinds = [of["dtype"] for name, of in header.items() if name != "__metadata__"]
        return _STORED.get(kinds[0], torch.float32)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error):
        return torch.float32  # damaged: loading it says so
