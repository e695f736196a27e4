"""Measure what each expert makes images show, so that its draws can make up for it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from probe.images.intervention import Condition
from probe.images.plan import GenerationPlan, planned_rows
from probe.moesd.draws import MeasuredExperts
from probe.moesd.model import MoESD
from probe.moesd.routing import SampledRouting
from probe.run.evaluation import evaluators
from probe.run.evaluation.corrected import cells_shown
from probe.run.files import MOESD
from probe.run.folder import Run
from probe.run.images import make_images, selector_sees, training_lexicon
from probe.run.teaching import looked_at_from
from probe.text.attributes import cells_of
from probe.text.templates import fill

N_SUBJECTS = 4
"""Fewer occupations for validation are too few to set draws by; our choice."""

_FOLDER = f"{MOESD}/measured"


def measured_from(run: Run) -> str:
    """Hash what the measurement depends on beside the correction; empty without one."""
    return looked_at_from(run, "measured") if run.config.train.is_measured else ""


def measure_experts(run: Run, moesd: MoESD) -> MoESD:
    """Make images of occupations with each expert, and note what they show.

    The occupations are for validation, as experts show more of those that taught them; where there
    are fewer than `N_SUBJECTS`, or a training must not read them, they are for training. Of several
    attributes, each cell is measured. The selector sees the values. An image in which it sees
    another occupation counts for no value.
    """
    if not run.config.train.is_measured:
        return moesd
    measured = {cells_of(moesd.attributes).name: _measure(run, moesd)}
    shutil.rmtree(run.folder / _FOLDER, ignore_errors=True)
    return replace(moesd, measured=measured)


class _GivenRoutes(SampledRouting):
    """Correct each image of a plan by the route that is given for it."""

    def __init__(self, correction: MoESD, routes: Sequence[str]) -> None:
        super().__init__(correction)
        self.source, self._routes = correction, routes

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Return the given routes."""
        return [Condition(*of) for of in zip(prompts, self._routes, strict=True)]


def _measure(run: Run, moesd: MoESD) -> MeasuredExperts:
    subjects, n_images = _measured_subjects(run)
    neutral = run.lexicon.templates["train"].neutral[0]
    of = cells_of(moesd.attributes)
    experts = [*moesd.variants([True] * len(moesd.attributes))]
    seed = f"measured {run.config.train.seed}"
    rows = [
        row
        for subject in subjects
        for expert in experts
        for row in planned_rows(expert, subject, [fill(neutral, subject=subject)], n_images, seed)
    ]
    plan, folder = GenerationPlan(pd.DataFrame(rows)), run.folder / _FOLDER
    method = _GivenRoutes(moesd, plan.table["kind"].tolist())
    label = f"images of each {of.name}"
    pipeline = run.load_pipeline(encoders=moesd.encoders)
    images = make_images(run, pipeline, plan, folder, intervention=method, label=label)
    seen, attributes = selector_sees(run, [folder / file for file in images["file_name"]])
    shown = cells_shown(seen, attributes)
    if evaluators.SUBJECT in seen:
        shown &= (seen[evaluators.SUBJECT].to_numpy() == images["subject"].to_numpy())[:, None]
    shares = shown.reshape(len(subjects), len(experts), n_images, -1).mean(axis=2)
    return MeasuredExperts(tuple(len(of.values) for of in moesd.attributes), shares, n_images)


def _measured_subjects(run: Run) -> tuple[list[str], int]:
    """Choose the occupations that are measured, and the images of each with an expert."""
    of_training = training_lexicon(run).occupations_of("train")
    others, n_images = run.lexicon.occupations_of("validation"), run.config.train.measured_images
    if not run.config.train.reads_validation or len(others) < N_SUBJECTS:
        return of_training, n_images
    return others, math.ceil(n_images * len(of_training) / len(others))
