"""The study of intersections: who is missing where attributes meet, base and corrected."""

from collections.abc import Iterator
from typing import Any

from probe.io.artifacts import read_table
from probe.run.files import EVALUATION, LABELS, SHARES
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables
from probe.stats.notation import bracketed, interval, number, p_value, percent

FOLDER = "intersections"
_TITLES = {"base": "base", "moesd": "corrected"}


@register
class Intersections(Study):
    """Measure joint shares in the run's images; ask for combinations in new ones."""

    name = "intersections"
    takes = "minutes"
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

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the cells of every intersection, and of the prompts that ask for them."""
        import pandas as pd

        from probe.audit.missing_label_bounds import is_seen, seen_on_both
        from probe.run.both_sides import make_both_sides
        from probe.run.studies.intersections import tables as of

        attributes = _attributes(run)
        labels, _ = read_table(run.folder / LABELS, kind="labels")
        neutral = labels[labels["kind"] == "neutral"]
        n_missing = len(neutral) - len(neutral := seen_on_both(neutral, *attributes))
        options = {"resampling": run.config.study.resampling}
        cells, found = [], {}
        for chosen in of.combine(attributes):
            table, found[of.title(chosen)] = of.measure_intersection(neutral, chosen, **options)
            cells.append(table)
        tables = {"cells": pd.concat(cells, ignore_index=True)}
        figures: dict[str, Any] = {
            "intersections": found,
            "harm_to_others": of.harm_to_others(neutral, attributes, **options),
            "asked": None,
            **({"n_missing": n_missing} if n_missing else {}),
        }
        asked = of.largest(attributes)
        if (plan := of.plan_asked(run, asked)) is not None:
            images = make_both_sides(run, plan, FOLDER, label="intersections")
            seen = images[is_seen(images, *asked)]
            tables["asked"], figures["asked"] = of.measure_asked(seen, asked)
        lines = list(_lines(figures, run.config.evaluate.attribute))
        return tables, Answer("\n".join(lines), figures)


def _attributes(run: Run) -> dict[str, list[str]]:
    """Attributes of people that the labels hold, with their values, the run's own first."""
    from probe.run.evaluation.evaluators import SUBJECT_SEEN

    shares, _ = read_table(run.folder / SHARES, kind="shares")
    names = [name for name in dict.fromkeys(shares["attribute"]) if name != SUBJECT_SEEN]
    names.sort(key=lambda name: name != run.config.evaluate.attribute)
    return {
        name: list(dict.fromkeys(shares.loc[shares["attribute"] == name, "value"]))
        for name in names
    }


def _lines(figures: dict[str, Any], first: str) -> Iterator[str]:
    for name, found in figures["intersections"].items():
        for side, side_title in _TITLES.items():
            of, within = found[side], found[side]["dependence_within_subjects"]
            yield (
                f"{name}, {side_title}: {interval(of['hidden'])} of {number(of['joint'])} nats of "
                f"unfairness show in no attribute alone (n = {of['n']}); attributes depend within "
                f"occupations by {within['corrected']:.3f} nats, {p_value(within['p'])}"
            )
            yield "  " + _worst(of)
        harmed = ", ".join(
            f"{of['cell']} ({percent(of['before'])} to {percent(of['after'])}, "
            f"{p_value(of['p_holm'])})"
            for of in found["harmed"]
        )
        yield f"  the correction moves further from parity: {harmed or 'no cell for sure'}"
    for name, of in figures["harm_to_others"].items():
        says = "HARMS" if of["is_harmed"] else "does no sure harm to"
        yield f"correcting {first} {says} {name}: MAD {interval(of)}, {p_value(of['p_holm'])}"
    if n_missing := figures.get("n_missing"):
        yield f"left out: {n_missing} images without a clear face"
    for side, of in (figures["asked"] or {}).items():
        least = f"; least {of['worst']['cell']}, {_share(of['worst'])}" if of["worst"] else ""
        yield (
            f"prompts that ask for a combination, {_TITLES[side]}: followed in {interval(of)} "
            f"(n = {of['n']}){least}"
        )


def _worst(of: dict[str, Any]) -> str:
    if (worst := of["worst"]) is None:
        return f"all {of['n_small']} cells are too small for any claim"
    small = f"; nothing is claimed of {of['n_small']} small cells" if of["n_small"] else ""
    return f"worst cell: {worst['cell']}, {_share(worst)} of {worst['fair']:.3f} due{small}"


def _share(found: dict[str, Any]) -> str:
    return bracketed(found["share"], found["low"], found["high"])
