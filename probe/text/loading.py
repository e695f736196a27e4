"""Open the weights and the tokenizer of a text encoder, or say in one line what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging

from probe.errors import ModelError
from probe.files import one_line
from probe.text.checkpoints import read_config, read_index, refuse_pickle


def load_parts(folder: Path, *, allow_pickle: bool = False) -> tuple[Any, Any]:
    """Load a text encoder and its tokenizer, in float32.

    Parameters
    ----------
    folder : Path
        A pipeline's folder or a transformers one.
    allow_pickle : bool
        Open weights that are only there as pickle, which can run code.

    Returns
    -------
    model, tokenizer
        transformers objects.

    Raises
    ------
    ModelError
        If a part is missing or damaged, does not fit its configuration, or is a pickle.
    """
    weights, words, class_name = _find(folder)
    if not allow_pickle:
        refuse_pickle(weights)
    with opening(weights):
        model, report = getattr(transformers, class_name).from_pretrained(
            str(weights),
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
        )
    # A pooling layer is not used; anything else that is missing would be random numbers.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ModelError(
            f"{weights} lacks the weights {', '.join(missing[:3])} ({len(missing)} in all); "
            "fetch or convert the model again"
        )
    with opening(words):
        return model, transformers.AutoTokenizer.from_pretrained(str(words), local_files_only=True)


@contextlib.contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Open a checkpoint quietly, and say in one line what is wrong with it.

    Raises
    ------
    ModelError
        In place of whatever the loaders raise on missing, truncated or misshapen files.
    """
    verbosity, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # loaders raise whatever they meet, down to bare Exception
        raise ModelError(
            f"{folder} cannot be opened ({one_line(error)[:300]}); needed whole files that fit "
            "their config.json: fetch or convert the model again"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if shows_bars:
            logging.enable_progress_bar()


def find_device(device: str | torch.device) -> torch.device:
    """Name a device that is there.

    Raises
    ------
    ValueError
        If it is not.
    """
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"there is no device {str(device)!r} here; choose 'cpu'") from error
    return chosen


def _find(folder: Path) -> tuple[Path, Path, str]:
    """Find the folder of the weights, that of the tokenizer, and the name of the model's class."""
    if (folder / "model_index.json").is_file():
        index = read_index(folder)
        if missing := {"text_encoder", "tokenizer"} - set(index):
            raise ModelError(
                f"the pipeline in {folder} has no {' and no '.join(sorted(missing))}; "
                "needed both: give a text-to-image pipeline"
            )
        return folder / "text_encoder", folder / "tokenizer", index["text_encoder"][1]
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no model_index.json (a pipeline) and no config.json (a text encoder); "
            "needed one of them, as save_pretrained writes it"
        )
    is_clip = read_config(folder / "config.json").get("model_type") in ("clip", "clip_text_model")
    return folder, folder, "CLIPTextModel" if is_clip else "AutoModelForTextEncoding"
