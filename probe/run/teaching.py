"""The classifier that teaches the experts of a run to show their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probe.errors import OptionError
from probe.io.artifacts import hash_parts, read_json
from probe.run.evaluation import evaluators
from probe.run.files import MOESD
from probe.run.folder import Run
from probe.run.images import generation_line
from probe.text.concepts import load_attributes

if TYPE_CHECKING:
    from probe.moesd.objectives.shown import Teacher


def was_taught(run: Run) -> bool:
    """Whether a classifier taught the experts of the run's correction."""
    return bool(read_json(run.folder / MOESD / "config.json", kind="moesd")[0].get("taught"))


def looked_at_from(run: Run, kind: str) -> str:
    """Hash what training images that the selector looks at depend on, beside the experts."""
    selector = evaluators.evaluators_line(run, "selector")
    return hash_parts(kind, run.revision, selector, generation_line(run))


def taught_from(run: Run) -> str:
    """Hash what the teaching depends on beside the settings of the training; empty without it."""
    return looked_at_from(run, "taught, cells scaled") if run.config.train.is_taught else ""


def teacher_of(run: Run) -> Teacher | None:
    """Open the classifier that selects as a teacher; None if the run asks for none.

    It holds the attributes that are to be kept; if none is named, all others that it knows.
    It has to know occupations, or nothing would hold them, and to pass gradients. If it does not,
    None is returned, or attributes that are to be kept are refused by an `OptionError`.
    """
    if not run.config.train.is_taught:
        return None
    from probe.images.attributes import AttributeClassifier
    from probe.moesd.objectives.shown import OF_KEPT, OF_OTHERS, Teacher
    from probe.run.evaluation.corrected import seen_attributes

    classifier = evaluators.load_whole_classifier(run, "selector")
    known, keep = classifier.attributes, run.config.train.keep
    if not isinstance(classifier, AttributeClassifier) or evaluators.SUBJECT not in known:
        if keep:
            raise OptionError(
                f"keep is {keep!r}, for which the classifier that selects has to know occupations "
                f"and to pass gradients (it knows {', '.join(known)}): give one that "
                "`transformers` loads, with --classifier, or leave keep empty"
            )
        return None
    labels = [(name, list(of.values())) for name, of in seen_attributes(run, known)]
    if keep:
        kept = [of.name for of in seen_attributes(run, known, load_attributes(keep))]
    else:
        corrected = {evaluators.SUBJECT, *(name for name, _ in labels)}
        kept = [name for name in known if name not in corrected]
    guidance, weight = run.config.generate.guidance_scale, OF_KEPT if keep else OF_OTHERS
    return Teacher(classifier, labels, evaluators.SUBJECT, guidance, kept, weight)
