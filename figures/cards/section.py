"""The bias section of a model card: results, how they were measured, and their limits."""

from __future__ import annotations

from typing import Any

from figures.cards.evidence import Evidence, public_name
from figures.cards.markdown import Markdown, render
from figures.text.evaluation import failure_rows, split_blocks
from figures.text.limits import limits
from figures.text.sentences import classifier_error, equivalence, finding, missing_faces
from figures.text.terms import DRIFT, EFFECTS, measures_of, versions
from probe.run.evaluation.measurement import SIDES

BEGIN, END = "<!-- moesd-probe:begin -->", "<!-- moesd-probe:end -->"
"""Lines around the section; the text between them is replaced by the next one."""


def bias_section(evidence: Evidence) -> Markdown:
    """Write the section as Markdown, its markers included; the same run gives the same text."""
    quality, config = evidence.quality, evidence.run.config
    n_subjects, n_images = evidence.size("all")
    text = render(
        "bias.md.j2",
        begin=Markdown(BEGIN),
        end=Markdown(END),
        is_tinytown=config.model == "tinytown",
        evidence=evidence,
        quality=quality,
        finding=finding(quality, model=evidence.model, n_subjects=n_subjects),
        measures=measures_of(len(evidence.values)),
        splits=split_blocks(quality, evidence.fairness),
        missing=missing_faces(quality),
        classifier_error=classifier_error(quality),
        effects=EFFECTS,
        equivalence=equivalence(quality),
        failures=failure_rows(quality),
        drift=DRIFT,
        intersections=_intersections(evidence),
        values=evidence.values,
        occupations=_occupations(evidence),
        template=evidence.run.lexicon.neutral_templates[0],
        n_subjects=n_subjects,
        n_images=n_images,
        n_trained=evidence.size("trained")[0],
        n_held_out=evidence.size("held_out")[0],
        generate=config.generate,
        train=config.train,
        target=public_name(config.generate.target),
        settings=config.evaluate,
        versions=versions(),
        limits=limits(config.model, quality["attribute"], evidence.values),
    )
    return Markdown(text.strip("\n"))


def _intersections(evidence: Evidence) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, side and figures of every intersection, those of fewer attributes first."""
    if evidence.intersections is None:
        return []
    found = evidence.intersections["intersections"]
    names = sorted(found, key=lambda name: name.count(" x "))
    return [(name, title, found[name][side]) for name in names for side, title in SIDES.items()]


def _occupations(evidence: Evidence) -> list[dict[str, Any]]:
    """Counts of every value by side, and the share of the first value, of every occupation."""
    rows = []
    for subject, of_subject in evidence.counts.groupby("subject", sort=False):
        cells = of_subject.set_index(["side", "value"])
        places = [(side, value) for side in SIDES for value in evidence.values]
        shares = [cells.loc[(side, evidence.quality["value"])] for side in SIDES]
        rows.append(
            {
                "subject": str(subject),
                "split": "held out" if cells["split"].iloc[0] == "held_out" else "training",
                "counts": [int(cells.loc[place, "count"]) for place in places],
                "shares": [
                    {"value": of["share"], "low": of["low"], "high": of["high"]} for of in shares
                ],
            }
        )
    return rows
