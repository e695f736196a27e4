"""Everything in a run that a model card reports, read once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from figures.sources import RunFiles
from probe.io.artifacts import Provenance, hash_parts, read_provenance
from probe.run.config import Config
from probe.run.evaluation import evaluators
from probe.run.folder import Run
from probe.run.studies.intersections import Intersections
from probe.text.lexicon import SPLIT_NAMES

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured, on what, and by which models."""

    run: Run
    quality: dict[str, Any]
    """What ``evaluate`` found."""
    made: Provenance
    """Of ``quality``."""
    fairness: pd.DataFrame
    """One row a side, split and measure."""
    counts: pd.DataFrame
    """One row a side, subject and value of the attribute that fairness is about."""
    prompt: str
    """One of the neutral prompts of the images."""
    intersections: dict[str, Any] | None
    """What the study found, if it used these images."""
    classifier: dict[str, str]
    """Name and revision of the model that labelled the images."""
    clip: dict[str, str]
    """Name and revision of the model that scored them."""

    @classmethod
    def gather(cls, folder: Path) -> Evidence:
        """Read a run folder that has been evaluated."""
        run, files = Run(folder, Config.read(folder)), RunFiles(folder)
        quality, shares = files.json("quality"), files.table("shares")
        labels = files.table("labels")
        study, config = Intersections(), run.config.evaluate
        is_current = study.stale(run) is None
        clip = evaluators.evaluator_folder(run, "clip")
        classifier = evaluators.evaluator_folder(run, "classifier")
        return cls(
            run=run,
            quality=quality,
            made=read_provenance(files.path("quality")),
            fairness=files.table("fairness"),
            counts=shares[shares["attribute"] == quality["attribute"]],
            prompt=str(labels.loc[labels["kind"] == "neutral", "prompt"].iloc[0]),
            intersections=study.result(run).data if is_current else None,
            classifier=_evaluator(config.classifier, classifier, classifier.name.replace("_", " ")),
            clip=_evaluator(config.clip, clip, "CLIP"),
        )

    @property
    def model(self) -> str:
        """Public name of the model."""
        return public_name(self.run.config.model)

    @property
    def values(self) -> list[str]:
        """All values of the attribute."""
        return list(dict.fromkeys(self.counts["value"]))

    @property
    def prompt_set(self) -> str:
        """Hash of the words that the prompts are made of; equal sets have equal prompts."""
        return hash_parts("prompt set", repr(self.run.lexicon))

    @property
    def groups(self) -> str:
        """Number of occupations trained on, for validation, and never seen."""
        known = set(self.fairness["split"])
        found = [f"{self.size(of)[0]} {name}" for of, name in SPLIT_NAMES.items() if of in known]
        return ", ".join(found)

    def size(self, split: str) -> tuple[int, int]:
        """Occupations of a split, and images of them by each model."""
        row = self.fairness[self.fairness["split"] == split].iloc[0]
        return int(row["n_subjects"]), int(row["n_images"])


def public_name(name: str) -> str:
    """Shorten a folder to its name, so that no path of this machine is published."""
    return name if hub_id(name) else Path(name).expanduser().absolute().name


def hub_id(name: str) -> str | None:
    """Return the hub id of a model; None if it is a folder or ships with the package."""
    is_one = _HUB_ID.fullmatch(name) and not Path(name).expanduser().is_dir()
    return name if is_one else None


def _evaluator(chosen: str, folder: Path, what: str) -> dict[str, str]:
    name = public_name(chosen) if chosen else f"the model's own {what}"
    return {"name": name, "revision": evaluators.evaluator_revision(folder)}
