"""A run again and again with other settings: each variant is an ordinary run, in its own folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probe.errors import OptionError
from probe.io.artifacts import hash_file, hash_parts, read_tensors, write_json, write_table
from probe.io.progress import NamedProgress
from probe.moesd.config import TrainConfig
from probe.run.evaluation.measurement import SIDES, SPLITS
from probe.run.experiment import Experiment
from probe.run.files import MOESD, QUALITY
from probe.run.folder import Run
from probe.run.lock import locked
from probe.run.new_settings import change_settings
from probe.run.pipeline import require
from probe.run.sweep.axes import Axis, Variant, variants_of
from probe.run.sweep.pareto import on_front
from probe.run.sweep.target_curve import read_met
from probe.run.sweep.variants import branch

FOLDER = "sweeps"
SCORES = ("explicit_adherence", "subject_recognised", "clip_score")
WEIGHTS = {"token": "token", "experts": "experts", "unet_experts": "unet-experts"}
"""Files of a correction that hold trained weights, and what kind of file each is."""


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What every variant came to."""

    name: str
    table: pd.DataFrame
    """One row a variant, side and figure; see `Sweep`."""

    def summary(self) -> str:
        """One line a variant: its weights, fairness before and after; ``*`` is on the front."""
        rows = self._corrected("mad")
        width = max(len(name) for name in rows["variant"])
        head = f"{'':<{width}}    weights  MAD            95 %             trained  held out"
        lines = [head]
        trained = self._corrected("mad_trained")["value"].to_numpy()
        held_out = self._corrected("mad_held_out")["value"].to_numpy()
        for row, seen, missing in zip(rows.itertuples(), trained, held_out, strict=True):
            mark = "*" if row.on_front else " "
            lines.append(
                f"{row.variant:<{width}} {mark} {row.n_trainable:>8}  {row.value:.3f}  "
                f"[{row.low:.3f}, {row.high:.3f}]      {seen:.3f}    {missing:.3f}"
            )
        if len(rows) > 1:
            spread = rows["value"].std(ddof=1)
            lines.append(f"over {len(rows)} variants: {rows['value'].mean():.3f}, SD {spread:.3f}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Every figure of every variant."""
        variants = []
        for name, rows in self.table.groupby("variant", sort=False):
            first = rows.iloc[0]
            settings = {c: first[c] for c in rows if str(c).count(".") == 1}
            sides: dict[str, Any] = {}
            for row in rows.itertuples():
                found: dict[str, Any] = {"value": row.value, "low": row.low, "high": row.high}
                for end in ("floor", "asked"):
                    if (value := getattr(row, end)) == value:
                        found[end] = value
                if row.unit:
                    found |= {"unit": row.unit, "n": row.n}
                sides.setdefault(str(row.side), {})[str(row.figure)] = found
            variants.append(
                {
                    "name": name,
                    "settings": {key: _plain(value) for key, value in settings.items()},
                    "n_trainable": int(first["n_trainable"]),
                    "on_front": bool(first["on_front"]),
                    **sides,
                }
            )
        return {"name": self.name, "variants": variants}

    def _corrected(self, figure: str) -> pd.DataFrame:
        table = self.table
        return table[(table["side"] == "corrected") & (table["figure"] == figure)]


class Sweep:
    """Every combination of some settings, trained, drawn and measured.

    Each variant is an ordinary run in ``RUN/sweeps/NAME/VARIANT``: every command works on it, and
    it begins with what RUN has made, so that nothing is made twice. The table has a row a variant,
    side and figure: ``variant``, a column ``stage.setting`` for each axis, ``n_trainable``,
    ``on_front`` (no other variant has at most as many weights and at most its MAD), ``side``,
    ``figure``, ``value``, ``low``, ``high``, ``floor`` and ``asked`` (NaN where there is none, see
    `probe.run.sweep.target_curve.measure_met`), ``unit`` and ``n`` of the interval, and
    ``n_images`` a subject.

    Parameters
    ----------
    folder : Path
        The run; its fit must be up to date.
    axes : sequence of Axis
        What varies.
    name : str, optional
        Of the sweep; the settings' names if not given.
    n_images : int, optional
        Pictures a subject, if not the run's own number.
    device, progress
        As for `Experiment.open`.

    Raises
    ------
    ValueError
        If the name is no plain word, or a value is out of range.
    """

    def __init__(
        self,
        folder: Path,
        axes: Sequence[Axis],
        *,
        name: str | None = None,
        n_images: int | None = None,
        device: str = "cpu",
        progress: NamedProgress | None = None,
    ) -> None:
        self.name = "-".join(axis.name for axis in axes) if name is None else name
        if not re.fullmatch(r"\w[\w-]*", self.name):
            raise OptionError(
                f"a sweep cannot be called {self.name!r}; needed letters, digits, _ and -"
            )
        self._device, self._progress = device, progress
        self._experiment = Experiment.open(folder, device=device, progress=progress)
        config = self._experiment.config
        if config.train.guidance_scale == 0:  # what is drawn otherwise is not trained otherwise
            guidance = config.generate.guidance_scale
            config = config.with_settings("train", {"guidance_scale": guidance})
        if n_images is not None:
            config = config.with_settings("generate", {"n_images": n_images})
        run = Run(self._experiment.folder, config, device=device)
        # A wrong value is refused before anything is made.
        self._variants = [(each, change_settings(run, each.tables)) for each in variants_of(axes)]

    @property
    def folder(self) -> Path:
        """Folder of the variants."""
        return self._experiment.folder / FOLDER / self.name

    def run(self, *, on_line: Callable[[str], None] | None = None) -> SweepResult:
        """Bring every variant up to date, and write ``sweep.parquet`` and ``sweep.json``.

        Parameters
        ----------
        on_line : callable, optional
            Called with one line a variant, as soon as it is measured.
        """
        run = Run(self._experiment.folder, self._experiment.config, device=self._device)
        require(run, "sweep", ("fit",))
        tables = []
        for number, (variant, changed) in enumerate(self._variants, start=1):
            tables.append(self._measure(variant, changed))
            if on_line is not None:
                rows = tables[-1].set_index(["side", "figure"])["value"]
                on_line(
                    f"{variant.name} ({number} of {len(self._variants)}): MAD "
                    f"{rows['base', 'mad']:.3f} before, {rows['corrected', 'mad']:.3f} after"
                )
        table = pd.concat(tables, ignore_index=True)
        scored = table[(table["side"] == "corrected") & (table["figure"] == "mad")]
        front = on_front(scored[["n_trainable", "value"]])
        names = scored["variant"].to_numpy()[front]
        table.insert(1, "on_front", table["variant"].isin(names))
        result = SweepResult(self.name, table)
        self._write(run, result)
        return result

    def _measure(self, variant: Variant, run: Run) -> pd.DataFrame:
        folder, config = self.folder / variant.name, run.config
        branch(run, folder)
        experiment = Experiment.open(folder, device=self._device, progress=self._told(variant))
        for stage in (experiment.embed, experiment.fit, experiment.train, experiment.generate):
            stage()
        quality = experiment.evaluate().result.to_json()
        n_trainable = _count_weights(folder / MOESD, config.train)
        met = read_met(Run(folder, config))
        rows = [
            {
                "variant": variant.name,
                **variant.settings,
                "n_trainable": n_trainable,
                "side": side,
                "figure": figure,
                **{end: found[end] for end in ("value", "low", "high")},
                "floor": found.get("floor", np.nan),
                "asked": found.get("asked", np.nan),
                "unit": found.get("unit", ""),
                "n": found.get("n", 0),
                "n_images": quality["n_images"]["per_subject"],
            }
            for side in SIDES.values()
            for figure, found in (_figures(quality, side) | met[side]).items()
        ]
        return pd.DataFrame(rows)

    def _told(self, variant: Variant) -> NamedProgress | None:
        if (progress := self._progress) is None:
            return None
        return lambda what, done, total: progress(f"{variant.name}: {what}", done, total)

    def _write(self, run: Run, result: SweepResult) -> None:
        made_from = hash_parts(
            "sweep",
            self.name,
            *(hash_file(self.folder / each.name / QUALITY) for each, _ in self._variants),
        )
        made = run.provenance("sweep", made_from)
        with locked(self.folder):
            write_table(self.folder / "sweep.parquet", result.table, made)
            write_json(self.folder / "sweep.json", result.to_json(), made)


def _figures(quality: dict[str, Any], name: str) -> dict[str, dict[str, float]]:
    """The figures of one side by name: MAD of each split, scores, and how a correction failed."""
    side = quality[name]
    of_splits = {f"mad_{split}": side[split]["mad"] for split in SPLITS[1:]}
    scores = {score: side[score] for score in SCORES}
    failed = quality["failures"] if name == SIDES["moesd"] else {}
    return {"mad": side["mad"], **of_splits, **scores, **failed}


def _count_weights(folder: Path, config: TrainConfig) -> int:
    """Number of trained weights of a correction; without a text side its experts are identities."""
    arrays = (
        read_tensors(folder / f"{name}.safetensors", kind=kind)[0]
        for name, kind in WEIGHTS.items()
        if (folder / f"{name}.safetensors").exists() and (name != "experts" or config.has_text)
    )
    return sum(int(array.size) for found in arrays for array in found.values())


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
