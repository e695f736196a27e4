"""The settings of a run that starts, and changes of them, kept only if a command succeeds.

A file that a setting names is copied into the run folder, so that the run can be moved.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from probe.errors import ArtifactError, OptionError
from probe.io import distributed
from probe.io.files import atomic
from probe.io.settings import file_settings
from probe.run.config import FILE, IMPORT, Config
from probe.run.files import EMBEDDED
from probe.run.folder import Run, is_kept_folder, locked
from probe.run.imported_vectors import VECTORS, keep_vectors
from probe.run.pipeline import require_model
from probe.run.registry import STAGES
from probe.run.user_prompts import PROMPTS, keep_prompts
from probe.text.checkpoints import choose_encoder, resolve_model, text_encoders
from probe.text.prompt_files import PromptFile
from probe.text.vectors import NamedVectors

_LEXICON, _LANGUAGE = "lexicon.toml", "language.toml"


def start(
    folder: Path,
    *,
    model: str,
    seed: int | None,
    lexicon: Path | None,
    encoder: str | None,
    instruction: str | None,
    prompts: PromptFile | None,
    split: int | None = None,
    language: str | None = None,
    form: str | None = None,
) -> None:
    """Write the settings and files that a run of a model begins with; see `Experiment.create`.

    Whatever is wrong is refused before anything is written.
    """
    if not model.strip():
        raise OptionError("model is empty; needed tinytown, a folder, or a hub id")
    config = _config_of(folder, model) or _new_config(model)
    given = (encoder, instruction, lexicon, prompts, split, language, form)
    if config.is_imported and any(of is not None for of in given):
        raise ArtifactError(
            f"{folder} is a run of {config.model!r}, which has no encoder to embed prompts with; "
            "start a run of a model in another folder"
        )
    for name, value, without in (
        ("encoder", encoder, "the first text encoder"),
        ("instruction", instruction, "no instruction"),
    ):
        if value is None or value == (old := getattr(config.embed, name)):
            continue
        if _holds_embeddings(folder):
            raise ArtifactError(
                f"{folder} is a run of {old or without!r}, not of {value!r}; start a new run in "
                "another folder"
            )
        config = config.with_settings("embed", {name: value})
    if encoder is not None:
        choose_encoder(resolve_model(model), encoder)
    _ = Run(folder, config).conditioning  # refuses an instruction for a model that takes none
    chosen: dict[str, Any] = {"language": language, "form": form, "split": split}
    chosen["lexicon"] = None if lexicon is None else _LEXICON
    files = {_LEXICON: lexicon} if lexicon is not None else {}
    if language is not None and language.lower().endswith(".toml"):
        files[_LANGUAGE], chosen["language"] = Path(language), _LANGUAGE
    if words := {name: value for name, value in chosen.items() if value is not None}:
        config = config.with_settings("embed", words)
        _ = Run(folder, config, sources=files).lexicon
    if prompts is not None:
        config = config.with_settings("embed", {"prompts": PROMPTS})
    with locked(folder):
        for name, path in files.items():
            with atomic(folder / name) as temporary:
                shutil.copyfile(path, temporary)
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


def change_settings(run: Run, tables: Mapping[str, Mapping[str, Any]]) -> Run:
    """Return the run with other settings by table, which are checked; nothing is written.

    A path of a file is replaced by the name that its copy will have in the run folder. The same
    object is returned if nothing changes.
    """
    config, sources = run.config, dict(run.sources)
    for table, values in tables.items():
        if values and table in STAGES and STAGES[table].needs_model:
            require_model(run, table)
        config = config.with_settings(table, values)
        for name, value in file_settings(getattr(config, table)).items():
            if name not in values:
                continue
            path, copy = Path(value), f"{name}{Path(value).suffix.lower()}"
            if is_kept_folder(run, value):
                continue
            if path.is_file():
                config = config.with_settings(table, {name: copy})
                if path.resolve() != (run.folder / copy).resolve():
                    sources[copy] = path
            elif value != getattr(getattr(run.config, table), name):
                item = next(item for item in fields(getattr(config, table)) if item.name == name)
                raise OptionError(
                    f"{name} is {value!r}; there is no such file. {item.metadata['help']}"
                )
    if config == run.config and sources == run.sources:
        return run
    changed = replace(run, config=config, sources=sources)
    for table in tables:
        if table in STAGES:
            STAGES[table].check(changed)
    return changed


@contextmanager
def kept_settings(old: Run, new: Run) -> Iterator[Run]:
    """Write the settings of a run and the files they name; take them back if the block fails.

    Yields the new run, reading its own copies. An interruption by Ctrl-C is no failure: the same
    command resumes with the same settings.
    """
    if new is old or not distributed.is_first():
        yield replace(new, sources={})
        return
    paths = [new.folder / name for name in (*new.sources, FILE)]
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    try:
        for name, source in new.sources.items():
            with atomic(new.folder / name) as temporary:
                shutil.copyfile(source, temporary)
        new.config.write(new.folder)
        yield replace(new, sources={})
    except Exception:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                with atomic(path) as temporary:
                    temporary.write_bytes(content)
        raise


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

    folder = resolve_model(model)
    settings = generation_settings(folder)
    encoders = "all" if len(text_encoders(folder)) > 1 else "one"
    return (
        Config(model)
        .with_settings(
            "generate", {"guidance_scale": settings.guidance_scale, "n_steps": settings.n_steps}
        )
        .with_settings("train", {"encoders": encoders})
    )


def _write(config: Config, folder: Path, seed: int | None) -> None:
    """Write settings, unless they stand there: the user may have added comments."""
    if seed is not None:
        config = config.with_seed(seed)
    if not (folder / FILE).exists() or Config.read(folder) != config:
        config.write(folder)
