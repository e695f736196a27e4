"""Sweep settings: each combination of values is trained and measured as a run of its own."""

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.errors import OptionError
from probe.io.artifacts import hash_file, hash_parts, read_tensors, write_json, write_table
from probe.io.executors import Executor
from probe.io.files import atomic
from probe.io.progress import NamedProgress
from probe.io.settings import file_settings, parse_value
from probe.moesd.config import TrainConfig
from probe.run.config import FILE, Config
from probe.run.evaluation.measurement import SIDES
from probe.run.experiment import Experiment
from probe.run.files import MOESD, QUALITY
from probe.run.folder import Run, is_kept_folder, locked
from probe.run.pipeline import require
from probe.run.registry import settings_tables
from probe.run.settings import change_settings
from probe.text.lexicon import SPLIT_NAMES, SPLITS

FOLDER = "sweeps"
SWEPT = ("train", "generate")
"""Stages whose settings can be swept: earlier stages are the run's own, later ones measure."""
SCORES = ("explicit_adherence", "subject_recognised", "clip_score")
WEIGHTS = {
    "token": "token",
    "experts": "experts",
    "unet_experts": "unet-experts",
    "other_encoders": "other-encoders",
}
"""Files of a correction that hold trained weights, and the kind of each."""
REUSED = ("embeddings", "latent", "moesd", "images/base")
"""What a variant starts with; each stage checks which of these its settings still allow."""


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The figures of every variant."""

    name: str
    table: pd.DataFrame
    """One row a variant, side and figure; with ``variant``, a column ``stage.setting`` for each
    axis, ``n_trainable``, ``on_front``, ``side``, ``figure``, ``value``, ``low``, ``high``,
    ``floor`` (NaN if none), ``unit`` and ``n`` of the interval, ``n_images`` of a subject."""

    def summary(self) -> str:
        """One line a variant: weights and corrected MAD of the split that is scored.

        ``*`` marks the Pareto front.
        """
        corrected = self.table[self.table["side"] == "corrected"].set_index("figure")
        figure = scored_figure(self.table)
        rows, trained = corrected.loc[[figure]], corrected.loc[["mad_train"], "value"]
        width = max(len(name) for name in rows["variant"])
        name = SPLIT_NAMES[figure.removeprefix("mad_")]
        lines = [f"{'':<{width}}    weights  MAD, {name + ', 95 %':<26} {SPLIT_NAMES['train']}"]
        for row, of_train in zip(rows.itertuples(), trained, strict=True):
            lines.append(
                f"{row.variant:<{width}} {'*' if row.on_front else ' '} {row.n_trainable:>8}  "
                f"{row.value:.3f}  [{row.low:.3f}, {row.high:.3f}]            {of_train:.3f}"
            )
        if len(rows) > 1:
            mean, spread = rows["value"].mean(), rows["value"].std(ddof=1)
            lines.append(f"over {len(rows)} variants: {mean:.3f}, SD {spread:.3f}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Every figure of every variant."""
        variants = []
        for name, rows in self.table.groupby("variant", sort=False):
            records = rows.to_dict("records")
            sides: dict[str, Any] = {}
            for row in records:
                found = {key: row[key] for key in ("value", "low", "high")}
                if not np.isnan(row["floor"]):
                    found["floor"] = row["floor"]
                if row["unit"]:
                    found |= {"unit": row["unit"], "n": row["n"]}
                sides.setdefault(row["side"], {})[row["figure"]] = found
            first = {str(column): value for column, value in records[0].items()}
            variants.append(
                {
                    "name": name,
                    "settings": {key: value for key, value in first.items() if "." in key},
                    "n_trainable": first["n_trainable"],
                    "on_front": first["on_front"],
                    **sides,
                }
            )
        return {"name": self.name, "variants": variants}


def run_sweep(
    folder: Path,
    axes: Mapping[str, Sequence[Any]],
    *,
    name: str | None = None,
    n_images: int | None = None,
    on_test: bool = False,
    device: str = "cpu",
    executor: Executor | None = None,
    progress: NamedProgress | None = None,
    on_line: Callable[[str], None] | None = None,
) -> SweepResult:
    """Train, generate and measure every combination of some settings, on validation occupations.

    Settings that are chosen on occupations for testing make the test meaningless: they are shown
    with ``on_test`` only. Where variants are trained, no training reads the occupations for
    validation (`TrainConfig.reads_validation`).

    Each variant is an ordinary run in ``RUN/sweeps/NAME/VARIANT`` that starts with what RUN has
    made; ``sweep.parquet`` and ``sweep.json`` in ``RUN/sweeps/NAME`` have the figures of all.
    ``axes`` are the values by ``stage.setting``; NAME is made of the settings' names if not given;
    ``on_line`` is called with one line a variant, as soon as it is measured.
    """
    name = "-".join(label.split(".")[1] for label in axes) if name is None else name
    if not re.fullmatch(r"\w[\w-]*", name):
        raise OptionError(f"a sweep cannot be called {name!r}; needed letters, digits, _ and -")
    config = Experiment.open(folder).config
    own = Run(folder, config, device=device)
    if config.train.guidance_scale == 0:  # 0 means generate's, which a sweep may change
        guidance = config.generate.guidance_scale
        config = config.with_settings("train", {"guidance_scale": guidance})
    if n_images is not None:
        config = config.with_settings("generate", {"n_images": n_images})
    scored_on = "test" if on_test else "validation"
    config = config.with_settings("generate", {"scored_on": scored_on})
    if not on_test and any(label.startswith("train.") for label in axes):
        config = config.with_settings("train", {"reads_validation": False})
    combinations = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    base = Run(folder, config, device=device, executor=executor)
    runs = [change_settings(base, _by_stage(settings)) for settings in combinations]
    require(own, "sweep", ("fit",))
    target, tables = folder / FOLDER / name, []
    for number, (settings, run) in enumerate(zip(combinations, runs, strict=True), start=1):
        variant = variant_name(settings)
        quality = _evaluate(target / variant, run, _prefixed(progress, variant))
        n_trainable = _count_weights(target / variant / MOESD, run.config.train)
        about = {"variant": variant, **settings, "n_trainable": n_trainable}
        tables.append(_table(about, quality))
        if on_line is not None:
            before, after = (quality[side][scored_on]["mad"]["value"] for side in SIDES.values())
            of = f"{number} of {len(runs)}"
            on_line(
                f"{variant} ({of}): MAD, {SPLIT_NAMES[scored_on]}, {before:.3f} before, "
                f"{after:.3f} after"
            )
    table = pd.concat(tables, ignore_index=True)
    scored = table[(table["side"] == "corrected") & (table["figure"] == scored_figure(table))]
    front = scored.loc[on_front(scored[["n_trainable", "value"]].to_numpy(float)), "variant"]
    table.insert(1, "on_front", table["variant"].isin(front))
    result = SweepResult(name, table)
    measured = (
        hash_file(target / variant / QUALITY) for variant in dict.fromkeys(table["variant"])
    )
    made = own.provenance("sweep", hash_parts("sweep", name, *measured))
    with locked(target):
        write_table(target / "sweep.parquet", table, made)
        write_json(target / "sweep.json", result.to_json(), made)
    return result


def scored_figure(table: pd.DataFrame) -> str:
    """Name the figure that variants are judged by: MAD of the last split that was shown."""
    shown = set(table["figure"])
    return next(name for split in reversed(SPLITS) if (name := f"mad_{split}") in shown)


def parse_axes(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read texts like ``stage.setting=value,value``; return values by ``stage.setting``."""
    axes: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        found = re.fullmatch(r"(\w+)\.(\w+)=(.+)", text, flags=re.DOTALL)
        if found is None:
            raise OptionError(f"{text!r} is no axis; needed one like train.width=8,16,32")
        stage, name, listed = found.groups()
        if stage not in SWEPT:
            raise OptionError(
                f"settings of {stage} cannot be swept; needed one of {', '.join(SWEPT)}"
            )
        known = {item.name: item for item in fields(settings_tables()[stage])}
        if name not in known:
            raise OptionError(f"{stage} has no setting {name!r}; known are {', '.join(known)}")
        values = tuple(parse_value(known[name], each.strip()) for each in listed.split(","))
        if len(set(values)) < len(values):
            raise OptionError(f"{stage}.{name} takes a value twice in {listed!r}; name each once")
        if f"{stage}.{name}" in axes:
            raise OptionError(f"{stage}.{name} is given twice; name each setting once")
        axes[f"{stage}.{name}"] = values
    return axes


def variant_name(settings: Mapping[str, Any]) -> str:
    """Name the folder of a variant: any value can be quoted, and none leaves the sweep's folder."""
    parts = []
    for label, value in settings.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        parts.append(quote(f"{label.split('.')[1]}={text}", safe="=<>+ "))
    return ",".join(parts)


def on_front(costs: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Say which rows of costs, (n_points, n_costs), are on the Pareto front.

    Off the front is a point if another one is no worse in every column and better in one.
    """
    no_worse = (costs[:, None] <= costs[None]).all(axis=2)  # (n_points, n_points)
    better = (costs[:, None] < costs[None]).any(axis=2)
    is_front: npt.NDArray[np.bool_] = np.logical_not(np.any(no_worse & better, axis=0))
    return is_front


def _by_stage(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for label, value in settings.items():
        stage, name = label.split(".")
        tables.setdefault(stage, {})[name] = value
    return tables


def _prefixed(progress: NamedProgress | None, variant: str) -> NamedProgress | None:
    if progress is not None:
        return lambda what, done, total: progress(f"{variant}: {what}", done, total)
    return None


def _evaluate(folder: Path, run: Run, progress: NamedProgress | None) -> dict[str, Any]:
    """Make and measure a variant, starting with the files of its run; those it has stay."""
    with locked(folder):
        named = [name for of in run.config.tables.values() for name in file_settings(of).values()]
        folders = [name for name in named if is_kept_folder(run, name)]
        for name in set(named) - set(folders):
            _copy(run.path(name), folder / name)
        for name in (*REUSED, *folders):
            for source in sorted((run.folder / name).rglob("*")):
                target = folder / source.relative_to(run.folder)
                if source.is_file() and not source.name.startswith(".") and not target.exists():
                    _copy(source, target)
        if not (folder / FILE).exists() or Config.read(folder) != run.config:
            run.config.write(folder)
    here = Experiment.open(folder, device=run.device, progress=progress)
    experiment = Experiment.open(
        folder, device=run.device, progress=progress, executor=run.executor
    )
    for stage in (experiment.embed, experiment.fit, here.train, experiment.generate):
        stage()
    return experiment.evaluate().result.to_json()


def _copy(source: Path, target: Path) -> None:
    """Copy a file; an image is linked where that is possible, as no file is changed in place."""
    if source.suffix == ".png":
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def _table(about: Mapping[str, Any], quality: dict[str, Any]) -> pd.DataFrame:
    """One row a side and figure: MAD of each split, scores, and how the correction failed."""
    defaults = {"floor": np.nan, "unit": "", "n": 0}
    rows = []
    for side in SIDES.values():
        of = quality[side]
        figures = {f"mad_{split}": of[split]["mad"] for split in SPLITS if split in of}
        figures = {"mad": of["mad"], **figures}
        figures |= {score: of[score] for score in SCORES}
        if side == SIDES["moesd"]:
            figures |= quality["failures"]
        for figure, found in figures.items():
            limits = {key: found[key] for key in ("value", "low", "high")}
            other = {key: found.get(key, missing) for key, missing in defaults.items()}
            rows.append({**about, "side": side, "figure": figure, **limits, **other})
    return pd.DataFrame(rows).assign(n_images=quality["n_images"]["per_subject"])


def _count_weights(folder: Path, config: TrainConfig) -> int:
    """Number of trained weights of a correction; without a text side its experts are identities."""
    arrays = (
        read_tensors(folder / f"{name}.safetensors", kind=kind)[0]
        for name, kind in WEIGHTS.items()
        if (folder / f"{name}.safetensors").exists() and (name != "experts" or config.has_text)
    )
    return sum(int(array.size) for found in arrays for array in found.values())
