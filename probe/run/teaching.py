"""The classifier that teaches the experts of a run to show their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probe.io.artifacts import hash_parts
from probe.run.evaluation import evaluators
from probe.run.folder import Run
from probe.run.images import generation_line
from probe.run.routing import attributes_of

if TYPE_CHECKING:
    from probe.moesd.objectives.shown import Teacher


def is_taught(run: Run) -> bool:
    """Whether a run asks for a teacher: gender alone has none."""
    n_values = [len(of.values) for of in attributes_of(run)]
    return run.config.train.shown_images > 0 and n_values != [2]


def taught_from(run: Run) -> str:
    """Hash what the teaching depends on beside the settings of the training; empty without it."""
    if not is_taught(run):
        return ""
    selector = evaluators.evaluators_line(run, evaluators.evaluator_folder(run, "selector"))
    return hash_parts("taught", run.revision, selector, generation_line(run))


def teacher_of(run: Run) -> Teacher | None:
    """Open the classifier that selects as a teacher; None if the run asks for none.

    It has to know occupations, or nothing would hold them, and to pass gradients: None otherwise.
    """
    if not is_taught(run):
        return None
    from probe.images.attributes import AttributeClassifier
    from probe.moesd.objectives.shown import Teacher
    from probe.run.evaluation.corrected import corrected_attributes

    classifier = evaluators.load_whole_classifier(run, "selector")
    if evaluators.SUBJECT not in classifier.attributes or not isinstance(
        classifier, AttributeClassifier
    ):
        return None
    seen = corrected_attributes(run, classifier.attributes)
    labels = [(name, list(of.values())) for name, of in seen]
    guidance_scale = run.config.generate.guidance_scale
    return Teacher(classifier, labels, evaluators.SUBJECT, guidance_scale)
