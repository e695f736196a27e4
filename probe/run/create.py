"""The settings of a run that begins, or of one that goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

from probe.errors import ArtifactError, OptionError
from probe.io.files import atomic
from probe.run.config import FILE, Config
from probe.run.files import EMBEDDED
from probe.run.folder import load_lexicon
from probe.run.imported_vectors import VECTORS, keep_vectors, model_of
from probe.run.lock import locked
from probe.run.user_prompts import PROMPTS, keep_prompts
from probe.text.checkpoints import choose_encoder, resolve_model
from probe.text.prompt_files import PromptFile
from probe.text.vectors import NamedVectors

_LEXICON = "lexicon.toml"


def start(
    folder: Path,
    *,
    model: str,
    seed: int | None,
    lexicon: Path | None,
    encoder: str | None,
    prompts: PromptFile | None,
) -> None:
    """Write what a run begins with; arguments and errors are those of `Experiment.create`.

    Whatever is wrong is refused before anything is written.
    """
    if not model.strip():
        raise OptionError("model is empty; needed 'tinytown', a folder, or a hub id")
    config = Config.read(folder) if (folder / FILE).exists() else None
    holds_something = _holds_something(folder)
    if config is None or (config.model != model and not holds_something):
        config = _new_config(model)
    elif config.model != model:
        raise ArtifactError(
            f"{folder} is a run of {config.model!r}, not of {model!r}; start a new run in "
            "another folder"
        )
    elif config.is_imported and (encoder, lexicon, prompts) != (None, None, None):
        raise ArtifactError(
            f"{folder} is a run of {config.model!r}, which has no encoder to embed prompts with; "
            "start a run of a model in another folder"
        )
    if encoder is not None and encoder != config.embed.encoder:
        if holds_something:
            raise ArtifactError(
                f"{folder} is a run of {config.embed.encoder or 'the first text encoder'!r}, "
                f"not of {encoder!r}; start a new run in another folder"
            )
        choose_encoder(resolve_model(model), encoder)  # a wrong one is refused before writing
        config = config.with_settings("embed", {"encoder": encoder})
    if seed is not None:
        config = config.with_seed(seed)
    if lexicon is not None:
        load_lexicon(lexicon)  # a wrong one is refused before anything is written
        config = config.with_settings("embed", {"lexicon": _LEXICON})
    if prompts is not None:
        config = config.with_settings("embed", {"prompts": PROMPTS})
    with locked(folder):
        if lexicon is not None:
            with atomic(folder / _LEXICON) as temporary:
                shutil.copyfile(lexicon, temporary)
        if prompts is not None:
            keep_prompts(folder, prompts)
        if not (folder / FILE).exists() or Config.read(folder) != config:
            config.write(folder)


def start_imported(folder: Path, vectors: NamedVectors, *, seed: int | None) -> None:
    """Write what a run of imported vectors begins with, its settings last.

    Arguments and errors are those of `Experiment.from_vectors`.
    """
    model = model_of(vectors)
    config = Config.read(folder) if (folder / FILE).exists() else Config(model)
    if config.model != model:
        if _holds_something(folder):
            raise ArtifactError(
                f"{folder} is a run of {config.model!r}, not of {model!r}; start a new run in "
                "another folder"
            )
        config = Config(model)
    if seed is not None:
        config = config.with_seed(seed)
    with locked(folder):
        keep_vectors(folder, vectors)
        if not (folder / FILE).exists() or Config.read(folder) != config:
            config.write(folder)


def _holds_something(folder: Path) -> bool:
    """Whether a run holds embeddings; till then it may change its mind about the model."""
    return (folder / EMBEDDED[0]).exists() or (folder / VECTORS).exists()


def _new_config(model: str) -> Config:
    """Settings of a new run: the defaults, and what the model's folder says about its use."""
    from probe.images.pipelines import generation_settings

    settings = generation_settings(resolve_model(model))
    return Config(model).with_settings(
        "generate", {"guidance_scale": settings.guidance_scale, "n_steps": settings.n_steps}
    )
