"""Measure what each expert makes images show, so that its draws can make up for it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from probe.images.intervention import Condition
from probe.images.plan import GenerationPlan, planned_rows
from probe.io.artifacts import hash_parts
from probe.moesd.draws import STRENGTHS, MeasuredExperts
from probe.moesd.model import MoESD
from probe.moesd.routing import SampledRouting
from probe.run.evaluation import evaluators
from probe.run.files import MOESD
from probe.run.folder import Run
from probe.run.images import generation_line, make_images, training_lexicon
from probe.run.routing import attributes_of
from probe.text.attributes import Attribute
from probe.text.templates import fill

_FOLDER = f"{MOESD}/measured"


def measured_attributes(run: Run) -> list[Attribute]:
    """List the corrected attributes whose experts are measured: those of more than two values."""
    n_images = run.config.train.measured_images
    return [of for of in attributes_of(run) if n_images and len(of.values) > 2]


def measured_from(run: Run) -> str:
    """Hash what the measurement depends on beside the correction; empty without one."""
    if not measured_attributes(run):
        return ""
    selector = evaluators.evaluators_line(run, evaluators.evaluator_folder(run, "selector"))
    return hash_parts("measured", run.revision, selector, generation_line(run), repr(STRENGTHS))


def measure_experts(run: Run, moesd: MoESD) -> MoESD:
    """Make images of training occupations with each expert, and note what they show.

    The selector sees the value. An image in which it sees another occupation counts for no value.
    """
    if not (chosen := measured_attributes(run)):
        return moesd
    pipeline = run.load_pipeline()
    measured = {of.name: _measure(run, moesd, of, pipeline) for of in chosen}
    shutil.rmtree(run.folder / _FOLDER, ignore_errors=True)
    return replace(moesd, measured=measured)


class _GivenRoutes(SampledRouting):
    """Correct each image of a plan by the route that is given for it."""

    def __init__(self, correction: MoESD, routes: Sequence[str]) -> None:
        super().__init__(correction, None, guidance_scale=1.0)
        self.source, self._routes = correction, routes

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Return the given routes."""
        return [Condition(*of) for of in zip(prompts, self._routes, strict=True)]


def _measure(run: Run, moesd: MoESD, attribute: Attribute, pipeline: Any) -> MeasuredExperts:
    lexicon, n_images = training_lexicon(run), run.config.train.measured_images
    subjects, neutral = lexicon.occupations_of("train"), lexicon.templates["train"].neutral[0]
    n_values = len(attribute.values)
    # Experts of several attributes are added: stronger ones would cost the subject.
    strengths = STRENGTHS if len(moesd.attributes) == 1 else STRENGTHS[:1]
    shape = len(subjects), len(strengths) * n_values, n_values
    unmeasured = MeasuredExperts(strengths, np.ones(shape), n_images)  # names the variants
    moesd = replace(moesd, measured={attribute.name: unmeasured})
    seed = f"measured {run.config.train.seed}"
    rows = [
        row
        for subject in subjects
        for variant in moesd.variants(attribute)
        for row in planned_rows(variant, subject, [fill(neutral, subject=subject)], n_images, seed)
    ]
    plan, folder = GenerationPlan(pd.DataFrame(rows)), run.folder / _FOLDER / attribute.name
    method = _GivenRoutes(moesd, plan.table["kind"].tolist())
    label = f"images of each {attribute.name}"
    images = make_images(run, pipeline, plan, folder, intervention=method, label=label)
    classifier = evaluators.load_whole_classifier(run, "selector")
    name, labels = attribute.seen_by(classifier.attributes)
    seen = classifier.label([folder / file for file in images["file_name"]])
    shown = seen[[name]].to_numpy() == np.array([labels[value] for value in attribute.values])
    if evaluators.SUBJECT in seen:
        shown &= (seen[evaluators.SUBJECT].to_numpy() == images["subject"].to_numpy())[:, None]
    shares = shown.reshape(*shape[:2], n_images, n_values).mean(axis=2)
    return MeasuredExperts(strengths, shares, n_images)
