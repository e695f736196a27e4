"""Load the weights and the tokenizer of a text encoder; errors are one line."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging

from probe.errors import ModelError, OptionError
from probe.io.files import one_line
from probe.text.checkpoints import (
    HALF,
    choose_encoder,
    is_half_file,
    read_config,
    read_index,
    refuse_pickle,
    weight_files,
)
from probe.text.encoding.conditioning import DECODERS

# Families that AutoModelForTextEncoding does not open, or not by the configuration of a whole CLIP.
_CLASSES = {
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
    "mpnet": "MPNetModel",
    "siglip": "SiglipTextModel",
    "siglip_text_model": "SiglipTextModel",
    "siglip2": "Siglip2TextModel",
    "siglip2_text_model": "Siglip2TextModel",
}
_PROJECTED = "CLIPTextModelWithProjection"


def load_parts(
    folder: Path, encoder: str | None = None, *, allow_pickle: bool = False
) -> tuple[Any, Any]:
    """Load a text encoder and its tokenizer from transformers, in float32.

    ``encoder`` is as for `probe.text.checkpoints.choose_encoder`; ``allow_pickle`` opens weights
    that exist only as pickle, which can run code. `ModelError` if a part is missing or damaged, or
    the parts do not fit each other.
    """
    weights, words, class_name = _find(folder, choose_encoder(folder, encoder))
    if not allow_pickle:
        refuse_pickle(weights)
    files = weight_files(weights)
    with opening(weights):
        model, report = getattr(transformers, class_name).from_pretrained(
            str(weights),
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=None if allow_pickle else True,
            variant=HALF if files and all(map(is_half_file, files)) else None,
            output_loading_info=True,
        )
    # The pooling layer is not used; other missing weights would be random numbers.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ModelError(
            f"{weights} misses the weights {', '.join(missing[:3])} ({len(missing)} in all); "
            "fetch or convert the model again"
        )
    _check_reader(words)
    with opening(words):
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(words), local_files_only=True)
    _check_ids(model, tokenizer, weights, words)
    return model, tokenizer


@contextlib.contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Open a checkpoint without log messages; any failure becomes a `ModelError` of one line."""
    verbosity, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # loaders raise all kinds, even bare Exception
        raise ModelError(
            f"{folder} cannot be opened ({one_line(error)[:300]}); needed whole files that fit "
            "their config.json: fetch or convert the model again"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if shows_bars:
            logging.enable_progress_bar()


def find_device(device: str | torch.device) -> torch.device:
    """Return a device; `OptionError` if it is not there."""
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"there is no device {str(device)!r} here; choose 'cpu'") from error
    return chosen


def _find(folder: Path, slot: str) -> tuple[Path, Path, str]:
    """Folder of the weights, folder of the tokenizer, and name of the model's class."""
    if slot:
        index, words = read_index(folder), slot.replace("text_encoder", "tokenizer")
        if words not in index:
            raise ModelError(
                f"the pipeline in {folder} has no {words}; needed it for its {slot}: give a "
                "text-to-image pipeline"
            )
        for part in (slot, words):
            if not (folder / part).is_dir():
                raise ModelError(
                    f"{folder / part} is not there, which the pipeline's index names; fetch it, or "
                    "choose another text encoder with --encoder"
                )
        return folder / slot, folder / words, index[slot][1]
    config = read_config(folder / "config.json")
    if _PROJECTED in (config.get("architectures") or ()):
        return folder, folder, _PROJECTED
    family = str(config.get("model_type"))
    default = "AutoModel" if family in DECODERS else "AutoModelForTextEncoding"
    return folder, folder, _CLASSES.get(family, default)


def _check_reader(words: Path) -> None:
    """Name the package that reads SentencePiece, because transformers names another."""
    files = sorted(words.glob("*.model"))
    if files and not (words / "tokenizer.json").is_file() and not find_spec("sentencepiece"):
        raise ModelError(
            f"{files[0]} is a SentencePiece vocabulary, which needs a package that is not there; "
            "install it with `pip install sentencepiece protobuf`"
        )


def _check_ids(model: Any, tokenizer: Any, weights: Path, words: Path) -> None:
    """Refuse a tokenizer with ids that have no row in the embedding: encoding them would crash."""
    n_rows = model.get_input_embeddings().weight.shape[0]
    n_ids = 1 + max(tokenizer.get_vocab().values())
    if n_ids > n_rows:
        raise ModelError(
            f"the tokenizer in {words} gives {n_ids} ids but the token embedding in {weights} has "
            f"{n_rows} rows; needed a row for every id: fetch the tokenizer that belongs to the "
            f"model, or call model.resize_token_embeddings({n_ids}) and save both again"
        )
