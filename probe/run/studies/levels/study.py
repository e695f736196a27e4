"""Study of specificity: what the correction gains and disturbs as prompts say more of gender."""

from __future__ import annotations

from typing import Any

import pandas as pd

from probe.io.artifacts import hash_file, hash_parts, read_table, write_table
from probe.run.config import settings_line
from probe.run.evaluation.measurement import SIDES
from probe.run.folder import INTERVALS, Run, stale_files
from probe.run.stages.evaluate import FILES as EVALUATION
from probe.run.stages.evaluate import SHARES
from probe.run.studies.levels.plan import plan_levels
from probe.run.studies.levels.tables import NONE, measure_levels, pair_pictures
from probe.run.studies.study import Study, StudyResult, bracketed

PICTURES = "evaluation/level_pictures.parquet"
TABLE = "evaluation/levels.parquet"
RESULT = "evaluation/levels.json"
FOLDER = "levels"
"""Where the pictures stand."""


class Levels(Study):
    """Make pictures at each level of specificity with both models, and measure them."""

    name = "levels"
    before = ""
    file = RESULT
    inputs = EVALUATION

    def stale(self, run: Run) -> str | None:
        """Look at the pictures' table, the figures' and the result."""
        return stale_files(run, self.made_from(run), PICTURES, TABLE, RESULT)

    def made_from(self, run: Run) -> str:
        """Hash of the settings, of everything that is read, and of the wordings."""
        from probe.text.challenge_prompts import CHALLENGES

        lines = settings_line(run.config.probe), settings_line(run.config.generate)
        words = hash_file(CHALLENGES[run.config.probe.level_words])
        return hash_parts("study of levels", INTERVALS, *lines, words, run.hashes(*self.inputs))

    def make(self, run: Run) -> None:
        """Write what is seen in each pair of pictures, the figures of each level, the result."""
        from probe.run.image_pairs import draw_both
        from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split

        config, made_from = run.config.probe, self.made_from(run)
        words = PromptTemplates.load(CHALLENGES[config.level_words])
        plan = plan_levels(
            words.by_level(subjects_by_split(run.prompts)),
            n_images=config.n_level_images,
            seed=run.config.generate.seed,
        )
        asked = run.config.evaluate
        pictures = draw_both(run, plan, FOLDER, told="levels")
        pairs = pair_pictures(pictures, asked.attribute)
        pairs["is_open"] = _opened(run, pairs["prompt"])
        shares, _ = read_table(run.folder / SHARES, kind="shares")
        values = shares.loc[shares["attribute"] == asked.attribute, "value"]
        table = measure_levels(
            pairs,
            values=list(dict.fromkeys(values)),
            words={"female": asked.female, "male": asked.male},
            resampling=config.resampling,
        )
        made = run.provenance("level_pictures", made_from, seed=run.config.generate.seed)
        write_table(run.folder / PICTURES, pairs, made)
        made = run.provenance("level_figures", made_from, seed=config.seed)
        write_table(run.folder / TABLE, table, made)
        self.keep(run, _result(table, run))


def _opened(run: Run, prompts: pd.Series) -> pd.Series:
    """Whether the gate has each prompt corrected."""
    from probe.moesd.model import MoESD
    from probe.run.stages.train import FOLDER as MOESD

    moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
    said = list(dict.fromkeys(prompts))
    is_open = moesd.decide(said, moesd.encoder.embed(said)).is_open
    return prompts.map(dict(zip(said, is_open.tolist(), strict=True)))


def _result(table: pd.DataFrame, run: Run) -> StudyResult:
    levels: dict[str, dict[str, Any]] = {}
    for row in table.to_dict("records"):
        split = levels.setdefault(row["level"], {}).setdefault(row["split"], {})
        found = {key: row[key] for key in ("value", "low", "high", "n")}
        found |= {key: row[key] for key in ("floor", "p") if row[key] == row[key]}
        measure, part = row["measure"], SIDES.get(row["side"], "")
        if measure.endswith("_difference"):
            measure, part = measure.removesuffix("_difference"), "difference"
        if part:
            split.setdefault(measure, {})[part] = found
        else:
            split[measure] = found
    figures = {
        "words": run.config.probe.level_words,
        "n_images": run.config.probe.n_level_images,
        "attribute": run.config.evaluate.attribute,
        "levels": [{"level": name, **splits} for name, splits in levels.items()],
    }
    return StudyResult(_lines(figures), figures)


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"{figures['n_images']} pictures of each occupation, level and model, wordings "
        f"{figures['words']}"
    ]
    for level in figures["levels"]:
        of = level["all"]
        says = f"{level['level']}: "
        if level["level"] == NONE:
            mad = of["mad"]
            says += (
                f"MAD {_ends(mad['base'])} before, {_ends(mad['corrected'])} after, difference "
                f"{_ends(mad['difference'])}, p = {mad['difference']['p']:.2g}, a fair model by "
                f"chance {mad['base']['floor']:.3f}; "
            )
        else:
            right = of["adherent"]
            says += (
                f"shows the gender asked for in {_ends(right['base'])} before, "
                f"{_ends(right['corrected'])} after; "
            )
        says += f"corrected {_ends(of['opened'])} of {of['opened']['n']} prompts, changed "
        says += f"{_ends(of['changed'])} of {of['changed']['n']} pictures"
        if other := of.get("relabelled"):
            says += f", another gender in {_ends(other)} of these {other['n']}"
        lines.append(says)
    return lines


def _ends(found: dict[str, float]) -> str:
    return bracketed(found["value"], found["low"], found["high"])
