"""Study of intersections: who is missing where attributes meet, and what the correction does."""

from __future__ import annotations

from typing import Any

from probe.run.files import EVALUATION, LABELS, SHARES
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.study import Study, StudyResult, Tables
from probe.stats.notation import bracketed

MAX_ASKED = 40
"""Combinations that are asked for in prompts, at most: each takes pictures."""
_CALLED = {"base": "base", "moesd": "corrected"}


@register
class Intersections(Study):
    """Measure joint shares in the run's pictures; ask for combinations in new ones."""

    name = "intersections"
    about = (
        "who is missing where gender, age and skin tone meet, and whether prompts that ask for a "
        "combination get it"
    )
    requires = ("evaluate",)
    tables = ("evaluation/cells.parquet", "evaluation/asked.parquet")
    file = "evaluation/intersections.json"
    inputs = EVALUATION
    reads_settings = ("generate", "evaluate")

    def unmet(self, run: Run) -> str | None:
        """Count the attributes that the classifier knows."""
        if not (run.folder / SHARES).is_file() or len(_attributes(run)) > 1:
            return None
        return (
            f"the classifier knows no attribute of people beside {run.config.evaluate.attribute}; "
            "needed at least 2, e.g. gender and age: set `classifier` under [evaluate]"
        )

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return the cells of every intersection, and of the prompts that ask for them."""
        import pandas as pd

        from probe.audit.missing_label_bounds import is_seen, seen_on_both
        from probe.io.artifacts import read_table
        from probe.run.image_pairs import draw_both
        from probe.run.studies.intersections.asked import (
            FOLDER,
            measure_asked,
            plan_asked,
            tell_asked,
        )
        from probe.run.studies.intersections.tables import (
            combine,
            harm_to_others,
            largest,
            measure_intersection,
            title,
        )

        config = run.config.probe
        attributes, first = _attributes(run), run.config.evaluate.attribute
        labels, _ = read_table(run.folder / LABELS, kind="labels")
        neutral = labels[labels["kind"] == "neutral"]
        n_missing = len(neutral) - len(neutral := seen_on_both(neutral, *attributes))
        options = {"resampling": config.resampling}
        cells, found = [], {}
        for chosen in combine(attributes, first):
            table, found[title(chosen)] = measure_intersection(neutral, chosen, **options)
            cells.append(table)
        tables = {"cells": pd.concat(cells, ignore_index=True)}
        figures: dict[str, Any] = {
            "intersections": found,
            "harm_to_others": harm_to_others(neutral, attributes, first, **options),
            "asked": None,
            **({"n_missing": n_missing} if n_missing else {}),
        }
        asked = largest(attributes, first, max_cells=MAX_ASKED)
        if (plan := plan_asked(run, asked)) is not None:
            pictures = draw_both(run, plan, FOLDER, label="intersections")
            adherent = measure_asked(pictures[is_seen(pictures, *asked)], asked)
            tables["asked"] = adherent
            figures["asked"] = tell_asked(adherent)
        return tables, StudyResult(_lines(figures, first), figures)


def _attributes(run: Run) -> dict[str, list[str]]:
    """Attributes of people that the labels hold, with their values, the run's own first."""
    from probe.io.artifacts import read_table
    from probe.run.evaluation.evaluators import SUBJECT_SEEN

    shares, _ = read_table(run.folder / SHARES, kind="shares")
    names = [name for name in dict.fromkeys(shares["attribute"]) if name != SUBJECT_SEEN]
    names.sort(key=lambda name: name != run.config.evaluate.attribute)
    return {
        name: list(dict.fromkeys(shares.loc[shares["attribute"] == name, "value"]))
        for name in names
    }


def _lines(figures: dict[str, Any], first: str) -> list[str]:
    lines = []
    for name, found in figures["intersections"].items():
        for side, called in _CALLED.items():
            of, hidden = found[side], found[side]["hidden"]
            within = of["dependence_within_subjects"]
            lines.append(
                f"{name}, {called}: {bracketed(*_limits(hidden))} of {of['joint']:.3f} nats of "
                f"unfairness show in no attribute alone (n = {of['n']}); attributes depend within "
                f"occupations by {within['corrected']:.3f} nats, p = {within['p']:.2g}"
            )
            lines.append("  " + _worst(of))
        harmed = ", ".join(
            f"{of['cell']} ({of['before']:.1%} to {of['after']:.1%}, p = {of['p_holm']:.2g})"
            for of in found["harmed"]
        )
        lines.append(f"  the correction moves further from parity: {harmed or 'no cell for sure'}")
    for name, of in figures["harm_to_others"].items():
        says = "HARMS" if of["is_harmed"] else "does no sure harm to"
        lines.append(
            f"correcting {first} {says} {name}: MAD {bracketed(*_limits(of))}, "
            f"p = {of['p_holm']:.2g}"
        )
    if n_missing := figures.get("n_missing"):
        lines.append(f"left out: {n_missing} pictures without a clear face")
    for side, of in (figures["asked"] or {}).items():
        worst = of["worst"]
        least = f"; least {worst['cell']}, {bracketed(*_limits(worst, 'share'))}" if worst else ""
        lines.append(
            f"prompts that ask for a combination, {_CALLED[side]}: followed in "
            f"{bracketed(*_limits(of))} (n = {of['n']}){least}"
        )
    return lines


def _worst(of: dict[str, Any]) -> str:
    small = f"; nothing is claimed of {of['n_small']} small cells" if of["n_small"] else ""
    if of["worst"] is None:
        return f"all {of['n_small']} cells are too small for any claim"
    limits = _limits(of["worst"], "share")
    fair = of["worst"]["fair"]
    return f"worst cell: {of['worst']['cell']}, {bracketed(*limits)} of {fair:.3f} due{small}"


def _limits(found: dict[str, Any], key: str = "value") -> tuple[float, float, float]:
    return found[key], found["low"], found["high"]
