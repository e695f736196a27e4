"""Start a run, of a model or of imported vectors, or resume one."""

from __future__ import annotations

import shutil
from pathlib import Path

from probe.errors import ArtifactError, OptionError
from probe.io.files import atomic
from probe.run.config import FILE, IMPORT, Config
from probe.run.files import EMBEDDED
from probe.run.folder import load_lexicon
from probe.run.imported_vectors import VECTORS, keep_vectors
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
    """Write the settings and files that a run of a model begins with; see `Experiment.create`.

    Whatever is wrong is refused before anything is written.
    """
    if not model.strip():
        raise OptionError("model is empty; needed 'tinytown', a folder, or a hub id")
    config = _config_of(folder, model) or _new_config(model)
    if config.is_imported and (encoder, lexicon, prompts) != (None, None, None):
        raise ArtifactError(
            f"{folder} is a run of {config.model!r}, which has no encoder to embed prompts with; "
            "start a run of a model in another folder"
        )
    if encoder is not None and encoder != config.embed.encoder:
        if _holds_embeddings(folder):
            raise ArtifactError(
                f"{folder} is a run of {config.embed.encoder or 'the first text encoder'!r}, "
                f"not of {encoder!r}; start a new run in another folder"
            )
        choose_encoder(resolve_model(model), encoder)
        config = config.with_settings("embed", {"encoder": encoder})
    if lexicon is not None:
        load_lexicon(lexicon)
        config = config.with_settings("embed", {"lexicon": _LEXICON})
    if prompts is not None:
        config = config.with_settings("embed", {"prompts": PROMPTS})
    with locked(folder):
        if lexicon is not None:
            with atomic(folder / _LEXICON) as temporary:
                shutil.copyfile(lexicon, temporary)
        if prompts is not None:
            keep_prompts(folder, prompts)
        _write(config, folder, seed)


def start_imported(folder: Path, vectors: NamedVectors, *, seed: int | None) -> None:
    """Write the vectors of a run, and its settings last; see `Experiment.from_vectors`."""
    model = IMPORT + vectors.source
    config = _config_of(folder, model) or Config(model)
    with locked(folder):
        keep_vectors(folder, vectors)
        _write(config, folder, seed)


def _config_of(folder: Path, model: str) -> Config | None:
    """Settings of a run of a model that was started; one of another model is refused.

    Without embeddings a run may still become one of another model.
    """
    config = Config.read(folder) if (folder / FILE).exists() else None
    if config is None or config.model == model:
        return config
    if _holds_embeddings(folder):
        raise ArtifactError(
            f"{folder} is a run of {config.model!r}, not of {model!r}; start a new run in "
            "another folder"
        )
    return None


def _holds_embeddings(folder: Path) -> bool:
    return (folder / EMBEDDED[0]).exists() or (folder / VECTORS).exists()


def _new_config(model: str) -> Config:
    """The defaults, and what the model's folder says about its use."""
    from probe.images.pipelines import generation_settings

    settings = generation_settings(resolve_model(model))
    return Config(model).with_settings(
        "generate", {"guidance_scale": settings.guidance_scale, "n_steps": settings.n_steps}
    )


def _write(config: Config, folder: Path, seed: int | None) -> None:
    """Write settings, unless they stand there: the user may have added comments."""
    if seed is not None:
        config = config.with_seed(seed)
    if not (folder / FILE).exists() or Config.read(folder) != config:
        config.write(folder)
