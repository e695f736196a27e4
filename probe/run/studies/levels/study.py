"""Study of specificity: what the correction gains and disturbs as prompts say more of gender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probe.errors import OptionError
from probe.io.files import hash_file, hash_parts
from probe.io.settings import Settings, setting
from probe.run.files import EVALUATION, MOESD, SHARES
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.study import Study, StudyResult, Tables
from probe.stats.notation import bracketed

if TYPE_CHECKING:
    import pandas as pd

LEVEL_WORDS = ("seen", "fresh")
"""Names of `probe.text.challenge_prompts.CHALLENGES` with levels, known without importing it."""
FOLDER = "levels"
"""Folder of the pictures."""


@dataclass(frozen=True)
class LevelsConfig(Settings):
    """Which pictures are made at each level of specificity."""

    n_level_images: int = setting(
        4,
        "Pictures of each occupation and level of specificity; half of each gender where asked.",
        minimum=2,
    )
    level_words: str = setting(
        "seen",
        "Wordings of the levels: seen while the gate was built, or fresh.",
        choices=LEVEL_WORDS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_level_images % 2:
            raise OptionError(
                f"n_level_images is {self.n_level_images}; needed an even number, as half of the "
                "pictures of a level ask for each gender"
            )


@register
class Levels(Study):
    """Make pictures at each level of specificity with both models, and measure them."""

    name = "levels"
    about = (
        "pictures under prompts that specify the gender more and more: what the correction gains "
        "where none is given, and disturbs where one is"
    )
    requires = ("evaluate",)
    settings = LevelsConfig
    tables = ("evaluation/level_pictures.parquet", "evaluation/level_figures.parquet")
    file = "evaluation/levels.json"
    inputs = EVALUATION
    reads_settings = ("generate", "evaluate")

    def made_from(self, run: Run) -> str:
        """Hash the settings, everything that is read, and the wordings."""
        from probe.text.challenge_prompts import CHALLENGES

        words = hash_file(CHALLENGES[run.config.levels.level_words])
        return hash_parts(super().made_from(run), words)

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return what is seen in each pair of pictures, and the figures of each level."""
        from probe.io.artifacts import read_table
        from probe.run.image_pairs import draw_both
        from probe.run.studies.levels.plan import plan_levels
        from probe.run.studies.levels.tables import measure_levels, pair_pictures
        from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split

        config, of_levels = run.config.probe, run.config.levels
        words = PromptTemplates.load(CHALLENGES[of_levels.level_words])
        plan = plan_levels(
            words.by_level(subjects_by_split(run.prompts)),
            n_images=of_levels.n_level_images,
            seed=run.config.generate.seed,
        )
        asked = run.config.evaluate
        pictures = draw_both(run, plan, FOLDER, label="levels")
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
        return {"level_pictures": pairs, "level_figures": table}, _result(table, run)


def _opened(run: Run, prompts: pd.Series) -> pd.Series:
    """Whether the gate has each prompt corrected."""
    from probe.moesd.model import MoESD

    moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
    distinct = list(dict.fromkeys(prompts))
    is_open = moesd.decide(distinct, moesd.encoder.embed(distinct)).is_open
    return prompts.map(dict(zip(distinct, is_open.tolist(), strict=True)))


def _result(table: pd.DataFrame, run: Run) -> StudyResult:
    from probe.run.evaluation.measurement import SIDES

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
        "words": run.config.levels.level_words,
        "n_images": run.config.levels.n_level_images,
        "attribute": run.config.evaluate.attribute,
        "levels": [{"level": name, **splits} for name, splits in levels.items()],
    }
    return StudyResult(_lines(figures), figures)


def _lines(figures: dict[str, Any]) -> list[str]:
    from probe.run.studies.levels.tables import NONE

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
                f"MAD {_limits(mad['base'])} before, {_limits(mad['corrected'])} after, difference "
                f"{_limits(mad['difference'])}, p = {mad['difference']['p']:.2g}, a fair model by "
                f"chance {mad['base']['floor']:.3f}; "
            )
        else:
            right = of["adherent"]
            says += (
                f"shows the gender asked for in {_limits(right['base'])} before, "
                f"{_limits(right['corrected'])} after; "
            )
        says += f"corrected {_limits(of['opened'])} of {of['opened']['n']} prompts, changed "
        says += f"{_limits(of['changed'])} of {of['changed']['n']} pictures"
        if other := of.get("relabelled"):
            says += f", another gender in {_limits(other)} of these {other['n']}"
        lines.append(says)
    return lines


def _limits(found: dict[str, float]) -> str:
    return bracketed(found["value"], found["low"], found["high"])
