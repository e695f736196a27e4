"""An opened run: its folder and lock, settings, model, and the progress of its work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ArtifactError, DataError, OptionError, StageError
from probe.io import distributed
from probe.io.artifacts import Provenance, hash_file, read_provenance
from probe.io.executors import Distribute, Results, open_writer, refuse_other
from probe.io.files import exclusive, inside, refuse_links
from probe.io.progress import NamedProgress
from probe.io.settings import file_settings
from probe.run.config import FILE, Config
from probe.run.files import EMBEDDED, MOESD
from probe.text.languages import translate
from probe.text.lexicon import DEFAULT, SPLITS, Lexicon

if TYPE_CHECKING:
    from probe.io.executors import Executor
    from probe.moesd.model import MoESD
    from probe.text.encoder import TextEncoder
    from probe.text.encoding.conditioning import Conditioning
    from probe.text.prompts import PromptSet

INTERVALS = "exact shares, rates, areas; others as wide as Student's; hidden information by root"
"""How intervals are made: a part of what measured files are made from, see docs/intervals.md."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder, opened with one set of settings."""

    folder: Path
    config: Config
    device: str = "cpu"
    """Where weights live; it is no setting, because it should change no result."""
    progress: NamedProgress | None = field(default=None, repr=False)
    sources: Mapping[str, Path] = field(default_factory=dict)
    """Files that settings name and that are not copied into the folder yet, by their name there."""
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict, repr=False)
    """Functions of `figures`, which the run does not import: ``draw`` and ``render``."""
    classifiers: dict[Path, Any] = field(default_factory=dict, repr=False)
    """Image classifiers that are open, by their folder; shared by copies with other settings."""
    executor: Executor | None = field(default=None, repr=False)
    """What embeds, generates and labels in place of this process; no setting, like ``device``."""

    @property
    def distribute(self) -> Distribute | None:
        """A function that lets workers open the models of this run and work on pieces, if any."""
        if (executor := self.executor) is None:
            return None
        # Without what was found here: a worker has its own files.
        named = replace(self, progress=None, functions={}, classifiers={}, executor=None)

        def distribute(opener: Any, pieces: Iterable[Any], write: Any = None) -> Results[Any]:
            if write is not None and executor.is_shared:
                opener = partial(open_writer, opener, write[0].absolute(), write[1])
            return executor.map(partial(_open_on_worker, opener, named, self.revision), pieces)

        return distribute

    def path(self, name: str) -> Path:
        """Return the path of a file that a setting names; it must be inside the run folder."""
        if name in self.sources:
            return self.sources[name]
        try:
            return inside(self.folder, name)
        except DataError as error:
            raise ArtifactError(
                f"{self.folder / FILE} names {name!r}, which is outside the run folder; needed a "
                "file inside it: give the file as an option of the command, which copies it"
            ) from error

    def function(self, name: str) -> Callable[..., Any]:
        """Return the function of `figures` that the caller gave for a stage."""
        if name not in self.functions:
            raise ValueError(f"the stage needs the function {name!r} of `figures`")
        return self.functions[name]

    @cached_property
    def model_folder(self) -> Path:
        """The model's files."""
        from probe.text.checkpoints import resolve_model

        return resolve_model(self.config.model)

    @cached_property
    def revision(self) -> str:
        """Which weights these are, and which of their text encoders; or which imported vectors."""
        if self.config.is_imported:
            return read_provenance(self.folder / "embeddings/vectors.safetensors").revision
        from probe.text.encoding.conditioning import encoder_revision

        encoder = self.config.embed.encoder or None
        return encoder_revision(self.model_folder, encoder, self.conditioning)

    @cached_property
    def conditioning(self) -> Conditioning | None:
        """How the text encoder is read with the instruction of the settings; None without one."""
        from probe.text.encoding.conditioning import instructed

        told = self.config.embed.instruction
        return instructed(self.model_folder, told) if told else None

    @cached_property
    def lexicon(self) -> Lexicon:
        """The words of this run."""
        config = self.config.embed
        files = file_settings(config)
        language = self.path(config.language) if "language" in files else config.language
        path = self.path(config.lexicon) if config.lexicon else None
        return load_lexicon(path, language, config.form).random_split(config.split)

    @cached_property
    def prompts(self) -> PromptSet:
        """Every prompt that this run embeds."""
        from probe.text.prompts import PromptSet

        return PromptSet.build(self.lexicon)

    def load_encoder(self) -> TextEncoder:
        """Open the text encoder that this run is about."""
        from probe.text.encoder import TextEncoder

        encoder = self.config.embed.encoder or None
        return TextEncoder.load(
            self.config.model,
            encoder=encoder,
            conditioning=self.conditioning,
            device=self.device,
        )

    def load_other_encoders(self) -> list[TextEncoder]:
        """Open the model's text encoders but that of the run."""
        from probe.text.checkpoints import choose_encoder, text_encoders
        from probe.text.encoder import TextEncoder

        own = choose_encoder(self.model_folder, self.config.embed.encoder or None)
        return [
            TextEncoder.load(self.config.model, encoder=slot, device=self.device)
            for slot in text_encoders(self.model_folder)
            if slot != own
        ]

    def load_pipeline(
        self, *, dtype: str = "", is_plain: bool = False, encoders: Iterable[TextEncoder] = ()
    ) -> Any:
        """Open the image model as the settings of ``generate`` say, but for a ``dtype``.

        ``is_plain`` is in single precision and on the device, for what trains or edits weights or
        compares predictions; ``encoders`` are those that are open. See `probe.images.pipelines`.
        """
        from probe.images.pipelines import load_pipeline

        config, model = self.config.generate, self.config.model
        if is_plain:
            return load_pipeline(model, device=self.device, encoders=encoders)
        return load_pipeline(
            model,
            device=self.device,
            dtype=dtype or config.dtype,
            offload=config.offload,
            is_compiled=config.compile,
            encoders=encoders,
        )

    def load_correction(self) -> MoESD:
        """Open the trained correction."""
        from probe.moesd.model import MoESD

        return MoESD.load(self.folder / MOESD, self.load_encoder())

    def provenance(self, kind: str, made_from: str, *, seed: int | None = None) -> Provenance:
        """Say what a file of this run is."""
        return Provenance(kind, self.config.model, self.revision, seed=seed, made_from=made_from)

    def progress_on(self, what: str) -> Callable[[int, int], None] | None:
        """Return a callback (done, total) that reports under a name, in the first process only."""
        if (progress := self.progress) is None or not distributed.is_first():
            return None
        return lambda done, total: progress(what, done, total)

    def hashes(self, *names: str) -> str:
        """The content of files of this run, to be hashed into what is made from them."""
        return ", ".join(f"{name}={hash_file(self.folder / name)}" for name in names)


@contextmanager
def locked(folder: Path, *, is_shared: bool = False) -> Iterator[None]:
    """Lock a run for this process, and remove temporary files that dead processes left.

    ``is_shared`` says that the processes of a launcher share the work: the first one locks for all.
    """
    if distributed.world_size() > 1 and not is_shared:
        raise StageError(
            f"{distributed.world_size()} processes were launched but only `moesd-probe train` "
            "shares its work out; run this command without a launcher"
        )
    if not distributed.is_first():
        yield
        return
    inside(folder, ".lock")  # which is written before the scan
    with exclusive(folder):
        refuse_links(folder, removes_orphans=True)
        yield


def _open_on_worker(opener: Callable[[Run], Any], run: Run, revision: str) -> Any:
    refuse_other(run.config.model, run.revision, revision)
    return opener(run)


def load_lexicon(path: Path | None, language: str | Path = "en", form: str = "") -> Lexicon:
    """Read a lexicon, which must have occupations of every split, in a language."""
    lexicon = Lexicon.load(path)
    for split in SPLITS:
        if not lexicon.occupations_of(split):
            raise DataError(
                f'no occupation of lexicon {path or DEFAULT} has split = "{split}"; needed some of '
                f"each of {', '.join(SPLITS)}"
            )
    if language != "en":
        return translate(lexicon, language, form)
    if form:
        raise OptionError(f"form is {form!r}, which English does not have; name a language")
    return lexicon


def stale_files(run: Run, made_from: str, *names: str) -> str | None:
    """Say which file is missing or was made from something else; None if there is none."""
    for name in names:
        path = run.folder / name
        if not path.exists():
            return f"{name} does not exist yet"
        if read_provenance(path).made_from != made_from:
            return f"{name} was made with other settings or inputs"
    return None


def is_kept_folder(run: Run, name: str) -> bool:
    """Whether a setting names a folder that was copied into the run."""
    return Path(name).name == name and (run.folder / name).is_dir()


def missing_file(run: Run, names: Iterable[str]) -> str | None:
    """Say which file of a run is missing; None if there is none."""
    absent = (name for name in names if not (run.folder / name).is_file())
    return next((f"{name} is missing" for name in absent), None)


def check_run(run: Run) -> None:
    """Refuse links and settings that lead out of the folder, and embeddings of another model."""
    for table in run.config.tables.values():
        for name in file_settings(table).values():
            run.path(name)
    refuse_links(run.folder)
    path = run.folder / EMBEDDED[1]
    if path.exists():
        found = read_provenance(path)
        if (found.model, found.revision) != (run.config.model, run.revision):
            raise ArtifactError(
                f"{path} was made by model {found.model} ({found.revision}) but the run's model is "
                f"{run.config.model} ({run.revision}); start a new run in another folder"
            )
