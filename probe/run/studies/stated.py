"""Prompts that state another attribute than the corrected one, such as "an old nurse"."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Counts
from probe.errors import DataError
from probe.run.files import EVALUATION, LABELS, SIDES
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables
from probe.stats.notation import interval, number, percent
from probe.text.attributes import GENDER, Attribute
from probe.text.concepts import Concept, concept_names
from probe.text.templates import fill

if TYPE_CHECKING:
    import pandas as pd

    from probe.run.evaluation.corrected import Seen
    from probe.stats.resampling import Resampling

Found = dict[str, Any]


@register
class Stated(Study):
    """Ask for a value of another attribute, and measure both attributes."""

    name = "stated"
    takes = "minutes"
    about = "whether prompts such as 'an old nurse' keep it, and are corrected in the rest"
    requires = ("evaluate",)
    tables = ("evaluation/stated.parquet",)
    file = "evaluation/stated.json"
    inputs = EVALUATION
    reads_settings = ("generate", "evaluate")

    def unmet(self, run: Run) -> str | None:
        """Look for an attribute that can be stated and seen."""
        if not (run.folder / LABELS).is_file() or _others(run):
            return None
        return "the classifier knows no attribute that prompts can state beside the corrected one"

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Count by attribute, side and occupation what is stated and what is corrected."""
        import pandas as pd

        from probe.images.plan import GenerationPlan, planned_rows
        from probe.run.both_sides import make_both_sides
        from probe.run.evaluation.corrected import seen_attributes
        from probe.run.evaluation.evaluators import load_whole_classifier

        lexicon, config, rows, others = run.lexicon, run.config.generate, [], _others(run)
        neutral, n_images = (
            lexicon.templates[config.scored_on].neutral[0],
            config.n_images // 4 or 1,
        )
        for job, (attribute, _) in product(lexicon.occupations_of(config.scored_on), others):
            for value, word in zip(attribute.values, attribute.words, strict=True):
                said, kind = fill(neutral, subject=f"{word} {job}"), f"{attribute.name}-{value}"
                of = planned_rows(kind, job, [said], n_images, config.seed)
                rows += [{**row, "attribute": attribute.name, "asked": value} for row in of]
        images = make_both_sides(run, GenerationPlan(pd.DataFrame(rows)), "stated", label="stated")
        [corrected, *_] = seen_attributes(run, load_whole_classifier(run).attributes)
        names, resampling = images["attribute"], run.config.study.resampling
        found = {
            of.name: _measure(images[names == of.name], seen, corrected, resampling)
            for of, seen in others
        }
        lines = [
            f"{name} stated: seen in {percent(kept['before'])} of the base model's images and "
            f"{percent(kept['after'])} of the corrected ones (change {interval(kept, 3)}, n = "
            f"{kept['n']}); MAD of {corrected.name} there {number(mad['before'])} to "
            f"{number(mad['after'])} (change {interval(mad)}; by chance {number(mad['floor'])})"
            for name, (kept, mad) in ((name, of.values()) for name, of in found.items())
        ]
        tables = {"stated": images.drop(columns=["kind", "file_name", "key"])}
        return tables, Answer("\n".join(lines), found)


def _others(run: Run) -> list[tuple[Attribute, Seen]]:
    """Find the shipped attributes that are not corrected and that the classifier knows."""
    from probe.run.evaluation.corrected import Seen
    from probe.run.evaluation.evaluators import load_whole_classifier

    known, found = load_whole_classifier(run).attributes, []
    without = (GENDER.name, *map(str.strip, run.config.train.attributes.split(",")))
    for name in concept_names():
        attribute = None if name in without else Concept.load(name).attribute
        if attribute is not None and not attribute.is_gender:
            with suppress(DataError):  # the classifier does not know it
                found.append((attribute, Seen(*attribute.seen_by(known))))
    return found


def _measure(rows: pd.DataFrame, seen: Seen, corrected: Seen, resampling: Resampling) -> Found:
    """Measure how often the stated value is seen, and the MAD of the corrected attribute."""
    import pandas as pd

    from probe.audit.fairness import fairness_figures, paired_difference
    from probe.audit.intersections.cells import cell_shifts

    rows = rows.assign(is_kept=rows[seen.name] == rows["asked"].map(seen.labels))
    options: Any = {"resampling": resampling, "unit": "occupations"}

    def counts(column: str, values: Sequence[Any]) -> list[Counts]:
        table = pd.crosstab([rows["side"], rows["subject"]], rows[column])
        table = table.reindex(columns=values, fill_value=0)
        return [table.loc[side].to_numpy(np.int64) for side in SIDES]

    shares = counts(corrected.name, [*corrected.labels.values()])
    before, after = (fairness_figures(of)["mad"] for of in shares)
    mad = {"before": before.value, "after": after.value, "floor": after.floor}
    kept, _ = cell_shifts(*counts("is_kept", [True, False]), **options)
    return {"kept": asdict(kept), "mad": asdict(paired_difference(*shares, **options)) | mad}
