"""Folders of models: where they are, which revision they hold, and which weights are refused."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from probe.errors import ModelError, OptionError
from probe.io.files import hash_parts, one_line, parse_json, read_whole

_LABORATORY = Path(__file__).parent.parent / "tinytown" / "weights"
SHIPPED = {name: _LABORATORY / name for name in ("tinytown", "tinytown-xl", "tinytown-dit")}
"""The laboratory models that ship with the package."""
TINYTOWN = SHIPPED["tinytown"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SAFE = ("*.safetensors",)
HALF = "fp16"
"""The variant of files with weights in half precision, as ``model.fp16.safetensors``."""
_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")
_DEFINING = (".json", ".txt", ".model", ".safetensors", ".bin")
_WHOLE = 64 * 2**20  # bytes up to which a file is hashed whole
_BLOCK, _N_BLOCKS = 64 * 2**10, 256

# Single-file checkpoints, half-precision copies and other frameworks' weights are not fetched.
_FETCHED = ("*.json", "*.txt", "*.model", "*/*.safetensors", "model*.safetensors")
_LEFT = ("*.fp16.*", "*.non_ema.*", "onnx/*", "openvino/*")


def resolve_model(model: str | Path) -> Path:
    """Find the folder of a model; `ModelError` if it does not exist or cannot be fetched.

    ``model`` is a name of `SHIPPED`, a folder, or a hub id such as
    ``"stable-diffusion-v1-5/stable-diffusion-v1-5"``, which is looked up in the local Hugging Face
    cache first and then fetched, unless ``HF_HUB_OFFLINE`` is set.
    """
    if shipped := SHIPPED.get(str(model)):
        if missing := _missing_parts(shipped):
            raise ModelError(
                f"{model} is incomplete: {shipped} has no {missing}; reinstall the package, or "
                f"make the weights with `make train-tinytown MODEL={model}`"
            )
        return shipped
    with suppress(OSError, ValueError, RuntimeError):  # too long, a NUL byte, no such user
        folder = Path(model).expanduser()
        if folder.is_dir():
            return folder
        if folder.is_file():
            raise ModelError(
                f"model {model} is a file; needed a folder: convert it with diffusers' "
                "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)"
            )
    if isinstance(model, str) and _HUB_ID.fullmatch(model):
        return _from_hub(model)
    raise ModelError(
        f"unknown model {str(model)[:200]!r}: there is no such folder; give one of "
        f"{', '.join(SHIPPED)}, a folder, or a hub id such as "
        "stable-diffusion-v1-5/stable-diffusion-v1-5"
    )


def model_revision(folder: Path | str) -> str:
    """Name the exact weights and configuration in a model's folder.

    It is the commit, for a snapshot in the Hugging Face cache; otherwise a hash of all
    configuration and weights, without README and cards. Of a file over 64 MiB, the size and 256
    evenly spaced blocks are hashed: any training changes them, and large checkpoints open quickly.
    """
    folder = Path(folder).absolute()
    if folder.parent.name == "snapshots" and re.fullmatch(r"[0-9a-f]{40}", folder.name):
        return folder.name
    paths = sorted(
        (path.relative_to(folder).as_posix(), path)
        for path in folder.rglob("*")
        if path.suffix in _DEFINING and path.is_file() and not path.stem.lower().endswith("card")
    )
    if not paths:
        raise ModelError(f"{folder} holds neither configuration nor weights; give a model's folder")
    return hash_parts(*(part for name, path in paths for part in (name, _fingerprint(path))))


def text_encoders(folder: Path) -> tuple[str, ...]:
    """Names of the text encoders of a pipeline, in its order; empty for any other folder."""
    if not (folder / "model_index.json").is_file():
        return ()
    return tuple(sorted(filter(re.compile(r"text_encoder(_\d+)?").fullmatch, read_index(folder))))


def choose_encoder(folder: Path, encoder: str | None = None) -> str:
    """Name of a text encoder of a model, checked to exist.

    ``encoder`` is a part of a pipeline such as ``"text_encoder_2"``; its first one by default. For
    a transformers folder, which is itself the text encoder, the name is ``""``.
    """
    if not any((folder / name).is_file() for name in ("model_index.json", "config.json")):
        raise ModelError(
            f"{folder} has no model_index.json (a pipeline) and no config.json (a text encoder); "
            "needed one of them, as save_pretrained writes it"
        )
    known = text_encoders(folder)
    if not known and (folder / "model_index.json").is_file():
        raise ModelError(
            f"the pipeline in {folder} has no text_encoder; needed one with its tokenizer: give a "
            "text-to-image pipeline"
        )
    if encoder is not None and encoder not in known:
        choice = f"choose from {list(known)}" if known else "it is one itself: leave encoder out"
        raise OptionError(f"{folder} has no text encoder {encoder!r}; {choice}")
    return encoder or (known[0] if known else "")


def weight_files(part: Path) -> list[Path]:
    """List the safetensors of one part of a model."""
    return _matching(part, _SAFE)


def is_half_file(path: Path) -> bool:
    """Whether a file of weights is of the variant `HALF`."""
    return f".{HALF}" in path.name


def read_index(folder: Path) -> dict[str, tuple[str, str]]:
    """Read ``model_index.json``: part of the pipeline -> (library, class), without absent parts."""
    path = folder / "model_index.json"
    if not path.is_file():
        raise ModelError(
            f"{folder} has no model_index.json; needed a pipeline's folder, as diffusers' "
            "save_pretrained writes it"
        )
    return {
        name: (str(entry[0]), str(entry[1]))
        for name, entry in read_config(path).items()
        if isinstance(entry, list) and len(entry) == 2 and entry[0] is not None
    }


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON file of a model; `ModelError` if it is no JSON object."""
    try:
        data = parse_json(read_whole(path))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} is not JSON ({one_line(error)}); fetch or convert the model again"
        ) from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds a {type(data).__name__}; needed a JSON object")
    return data


def refuse_pickle(folder: Path) -> None:
    """Refuse weights that exist only as pickle: opening one runs the code in it."""
    index = folder / "model_index.json"
    parts = [folder / name for name in read_index(folder)] if index.is_file() else [folder]
    for part in parts:
        pickles = _matching(part, _PICKLES)
        if pickles and not _matching(part, _SAFE):
            kind = "DiffusionPipeline" if index.is_file() else "AutoModel"
            raise ModelError(
                f"{pickles[0]} is a pickle, which runs code when it is opened; needed safetensors: "
                f"if you trust it, convert it with {kind}.from_pretrained(FOLDER, "
                "use_safetensors=False).save_pretrained(NEW_FOLDER) (add safe_serialization=True "
                "in older versions), or pass allow_pickle=True"
            )


def _from_hub(model: str) -> Path:
    from huggingface_hub import constants, is_offline_mode, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    cache = constants.HF_HUB_CACHE
    try:
        folder = Path(snapshot_download(model, cache_dir=cache, local_files_only=True))
        missing = _missing_parts(folder)
        found = f"the Hugging Face cache {cache} holds model {model} without {missing}"
    except LocalEntryNotFoundError:
        missing = "everything"
        found = f"model {model} is not in the Hugging Face cache {cache}"
    if not missing:
        return folder
    advice = f"fetch it with `hf download {model}`, or give a local folder"
    if is_offline_mode():
        raise ModelError(f"{found} and HF_HUB_OFFLINE is set; unset it and {advice}")
    try:
        return Path(
            snapshot_download(
                model,
                cache_dir=cache,
                allow_patterns=list(_FETCHED),
                ignore_patterns=list(_LEFT),
            )
        )
    except GatedRepoError as error:
        raise ModelError(
            f"{found} and it is gated: accept its terms on https://huggingface.co/{model}, log in "
            f"with `hf auth login`, and {advice}"
        ) from error
    except (OSError, HfHubHTTPError) as error:
        raise ModelError(
            f"{found} and it cannot be fetched ({one_line(error)[:200]}); check the id and the "
            f"network, {advice}"
        ) from error


def _missing_parts(folder: Path) -> str:
    """Missing parts of a model's folder, for messages; ``""`` if it is complete."""
    if (folder / "model_index.json").is_file():
        return ", ".join(name for name in read_index(folder) if not (folder / name).is_dir())
    if not (folder / "config.json").is_file():
        return "model_index.json or config.json"
    return "" if _matching(folder, _SAFE + _PICKLES) else "weights"


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def _fingerprint(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return hashlib.file_digest(file, "sha256").digest()
        digest = hashlib.sha256(str(size).encode())
        for block in range(_N_BLOCKS):
            file.seek(block * (size - _BLOCK) // (_N_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
        return digest.digest()
