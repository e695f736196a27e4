"""Settings of a run: one small dataclass a stage, and the TOML file that holds them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from probe.errors import ArtifactError, OptionError
from probe.io.artifacts import SCHEMA, atomic
from probe.io.parsing import parse_toml
from probe.io.settings import at_least, one_of, setting
from probe.moesd.config import SIDES as SIDES  # read by cli
from probe.moesd.config import TrainConfig as TrainConfig  # one of the stages, read by cli
from probe.run.evaluation.config import EvaluateConfig as EvaluateConfig  # as TrainConfig
from probe.stats.resampling import Resampling

FILE = "config.toml"

ESTIMATORS = ("pairs", "pca", "lda", "logistic", "span")
"""Names of `probe.latent.directions.estimators.ESTIMATORS`, known without importing it."""
IMPORT = "import:"
"""What ``model`` begins with in a run of vectors that were made elsewhere; their file follows."""
ROUTERS = ("top1", "stratified", "minimal", "calibrated")
"""Who gets each picture; see `probe.run.routing`."""
STUDIES = (
    *("directions", "association", "erasure", "tracing", "maps"),
    *("mixture", "gate", "prediction", "intersections", "levels"),
)
"""Names of `probe.run.studies.STUDIES`, likewise."""
LEVEL_WORDS = ("seen", "fresh")
"""Names of `probe.text.challenge_prompts.CHALLENGES`, likewise."""
OF_LEVELS = ("n_level_images", "level_words")
"""Settings of `ProbeConfig` that only the study ``levels`` reads."""

_HEADER = """\
# Settings of this run. Edit them, then run `moesd-probe run` again: it makes anew what they change.
"""


@dataclass(frozen=True)
class EmbedConfig:
    """Which prompts are embedded."""

    lexicon: str = setting("", "Lexicon of words and templates (TOML); the shipped one if empty.")
    encoder: str = setting("", "Text encoder of the pipeline; its first one if empty.")
    prompts: str = setting("", "Prompts of your own, placed on the axis too; none if empty.")


@dataclass(frozen=True)
class FitConfig:
    """How the bias direction is found and measured."""

    estimator: str = setting("pairs", "Which axis: pairs, pca, lda, logistic or span.")
    strength: float = setting(500.0, "Lambda of the calibrated projection.")
    n_bootstrap: int = setting(2000, "Resamples behind each interval.")
    seed: int = setting(0, "Seed of the resamples and of the map.")

    def __post_init__(self) -> None:
        one_of("estimator", self.estimator, ESTIMATORS)
        at_least("strength", self.strength, 0)
        at_least("n_bootstrap", self.n_bootstrap, 1)

    @property
    def resampling(self) -> Resampling:
        """The resamples behind each interval."""
        return Resampling(self.n_bootstrap, self.seed)


@dataclass(frozen=True)
class ProbeConfig:
    """How thoroughly the studies look."""

    n_bootstrap: int = setting(2000, "Resamples behind each interval.")
    n_refits: int = setting(100, "Times that an axis is fitted anew to see how firm it is.")
    n_level_images: int = setting(
        4, "Pictures of each occupation and level of specificity; half of each gender where asked."
    )
    level_words: str = setting(
        "seen", "Wordings of the levels: seen while the gate was built, or fresh."
    )
    seed: int = setting(0, "Seed of everything that is drawn.")

    def __post_init__(self) -> None:
        at_least("n_bootstrap", self.n_bootstrap, 1)
        at_least("n_refits", self.n_refits, 1)
        one_of("level_words", self.level_words, LEVEL_WORDS)
        if self.n_level_images < 2 or self.n_level_images % 2:
            raise OptionError(
                f"n_level_images is {self.n_level_images}; needed an even number, as half of the "
                "pictures of a level ask for each gender"
            )

    @property
    def resampling(self) -> Resampling:
        """The resamples behind each interval."""
        return Resampling(self.n_bootstrap, self.seed)


@dataclass(frozen=True)
class GenerateConfig:
    """Which pictures are made, and how."""

    n_images: int = setting(
        50, "Pictures of each occupation; a quarter as many where the prompt says the gender."
    )
    guidance_scale: float = setting(7.5, "Weight of the prompt; 1 is no guidance.")
    n_steps: int = setting(50, "Denoising steps of a picture.")
    batch_size: int = setting(0, "Pictures denoised together; 0 lets the model's size decide.")
    routing: str = setting(
        "top1",
        "Who corrects a picture: top1 (each prompt's expert), stratified (the expert its seed "
        "draws), minimal (likewise, only for as many as the base lacks) or measured (each prompt's "
        "expert, as strong as the denoiser says it must be).",
    )
    strength: float = setting(1.0, "How much of the correction is done, 0 to 1; 0 is the base.")
    target: str = setting(
        "parity",
        "Shares asked for, if not sent top1: parity, labour (each occupation's in the labour "
        "market), a share of women, or a table by subject (TOML).",
    )
    seed: int = setting(0, "Seed of the noise.")

    def __post_init__(self) -> None:
        at_least("n_images", self.n_images, 1)
        at_least("guidance_scale", self.guidance_scale, 0)
        at_least("n_steps", self.n_steps, 1)
        at_least("batch_size", self.batch_size, 0)
        one_of("routing", self.routing, ROUTERS)
        at_least("strength", self.strength, 0)
        if self.strength > 1:
            raise OptionError(f"strength is {self.strength}; needed at most 1")
        if self.routing == "top1" and self.target != "parity":
            raise OptionError(
                f"target is {self.target!r} but pictures are sent top1, which meets parity at "
                "best; choose the sending measured, stratified or minimal"
            )


STAGES: dict[str, type[Any]] = {
    "embed": EmbedConfig,
    "fit": FitConfig,
    "probe": ProbeConfig,
    "train": TrainConfig,
    "generate": GenerateConfig,
    "evaluate": EvaluateConfig,
}


@dataclass(frozen=True)
class Config:
    """Every setting of a run."""

    model: str
    """``"tinytown"``, a folder or a hub id, as the user named it; ``"import:FILE"`` if the run is
    one of imported vectors and has no model."""
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    generate: GenerateConfig = field(default_factory=GenerateConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    @property
    def is_imported(self) -> bool:
        """Whether the run is one of imported vectors."""
        return self.model.startswith(IMPORT)

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read and check ``config.toml`` of a run folder.

        Raises
        ------
        ArtifactError
            If the file is missing, is not TOML, is of another schema, or holds an unknown
            setting or a value that is not allowed; the message names it.
        """
        path = folder / FILE
        try:
            data = parse_toml(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{folder} holds no {FILE}, so it is no run; start one with "
                f"`moesd-probe embed {folder} --model tinytown`"
            ) from error
        except NotADirectoryError as error:
            raise ArtifactError(f"{folder} is a file; RUN must be a folder") from error
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} is not TOML ({error}); correct the file") from error
        if (schema := data.pop("schema", None)) != SCHEMA:
            raise ArtifactError(
                f"{path} has schema {schema} but this version reads schema {SCHEMA}; "
                "start a new run in another folder"
            )
        model = data.pop("model", None)
        if not isinstance(model, str) or not model:
            raise ArtifactError(f'{path} names no model; add a line like model = "tinytown"')
        if unknown := [name for name in data if name not in STAGES]:
            raise ArtifactError(
                f"{path} has no use for {unknown[0]!r}; known are schema, model and the tables "
                f"{', '.join(STAGES)}; correct the file"
            )
        return cls(model=model, **{name: _stage(path, name, data.get(name, {})) for name in STAGES})

    def write(self, folder: Path) -> None:
        """Write ``config.toml``, every setting with its description."""
        with atomic(folder / FILE) as temporary:
            temporary.write_text(self.to_toml(), encoding="utf-8")

    def to_toml(self) -> str:
        """Every setting with its description, as TOML."""
        lines = [_HEADER, f"schema = {SCHEMA}", f"model = {_toml(self.model)}"]
        for name, stage in STAGES.items():
            lines += ["", f"[{name}]"]
            values = asdict(getattr(self, name))
            for item in fields(stage):
                lines.append(f"# {item.metadata['help']}")
                lines.append(f"{item.name} = {_toml(values[item.name])}")
        return "\n".join(lines) + "\n"

    def with_settings(self, stage: str, settings: Mapping[str, Any]) -> Config:
        """Change settings of one stage.

        Raises
        ------
        ValueError
            If the stage or a setting is unknown, or a value is of another type or out of range.
        """
        if stage not in STAGES:
            raise OptionError(f"no stage {stage!r} has settings; needed one of {', '.join(STAGES)}")
        changed = replace(getattr(self, stage), **_checked(stage, settings))
        return replace(self, **{stage: changed})

    def with_seed(self, seed: int) -> Config:
        """Give every stage that draws numbers the same seed."""
        config = self
        for name, stage in STAGES.items():
            if any(item.name == "seed" for item in fields(stage)):
                config = config.with_settings(name, {"seed": seed})
        return config


def settings_line(config: Any, *, without: tuple[str, ...] = ()) -> str:
    """One line that says every setting of a stage, to be hashed with its inputs."""
    return ", ".join(
        f"{name}={value!r}" for name, value in asdict(config).items() if name not in without
    )


def _stage(path: Path, name: str, table: object) -> Any:
    if not isinstance(table, dict):
        raise ArtifactError(f"{path}: {name} is {table!r}; needed a table [{name}]")
    try:
        return STAGES[name](**_checked(name, table))
    except ValueError as error:
        raise ArtifactError(f"{path}: [{name}] {error}; correct the file") from error


def _checked(stage: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    known = {item.name: type(item.default) for item in fields(STAGES[stage])}
    checked = {}
    for name, value in settings.items():
        if name not in known:
            raise OptionError(f"{stage} has no setting {name!r}; known are {', '.join(known)}")
        kind = known[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise OptionError(f"{name} is {value!r}; needed a value of type {kind.__name__}")
        if kind is float and value != value:
            raise OptionError(f"{name} is not a number")
        checked[name] = value
    return checked


def _toml(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # JSON escapes as TOML does, but for the one character DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
