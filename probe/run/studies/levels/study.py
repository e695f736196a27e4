"""The study of levels: what the correction gains and disturbs as prompts say more of gender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probe.errors import OptionError
from probe.io.artifacts import read_table
from probe.io.files import hash_file, hash_parts
from probe.io.settings import Settings, setting
from probe.run.files import EVALUATION, SHARES
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables
from probe.stats.notation import interval, p_value

if TYPE_CHECKING:
    import pandas as pd

LEVEL_WORDS = ("seen", "fresh")
"""Names of `probe.text.challenge_prompts.CHALLENGES` with levels, known without importing it."""
FOLDER = "levels"
"""Folder of the images."""


@dataclass(frozen=True)
class LevelsConfig(Settings):
    """Which images are generated at each level of specificity."""

    n_level_images: int = setting(
        4,
        "Images of each occupation and level of specificity; half of each gender where asked.",
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
                "images of a level ask for each gender"
            )


@register
class Levels(Study):
    """Generate images at each level of specificity with both models, and measure them."""

    name = "levels"
    takes = "minutes"
    about = (
        "images under prompts that specify the gender more and more: what the correction gains "
        "where none is given, and disturbs where one is"
    )
    requires = ("evaluate",)
    settings = LevelsConfig
    tables = ("evaluation/level_images.parquet", "evaluation/level_figures.parquet")
    file = "evaluation/levels.json"
    is_english = True
    inputs = EVALUATION
    reads_settings = ("generate", "evaluate")

    def made_from(self, run: Run) -> str:
        """Hash the settings, everything that is read, and the wordings."""
        from probe.text.challenge_prompts import CHALLENGES

        words = hash_file(CHALLENGES[run.config.levels.level_words])
        return hash_parts(super().made_from(run), words)

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return what is seen in each pair of images, and the figures of each level."""
        from probe.run.both_sides import make_both_sides
        from probe.run.studies.levels.tables import measure_levels, pair_images, plan_levels
        from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split

        settings, asked = run.config.levels, run.config.evaluate
        words = PromptTemplates.load(CHALLENGES[settings.level_words])
        plan = plan_levels(
            words.by_level(subjects_by_split(run.prompts)),
            n_images=settings.n_level_images,
            seed=run.config.generate.seed,
        )
        images = make_both_sides(run, plan, FOLDER, label="levels")
        pairs = pair_images(images, asked.attribute)
        pairs["is_open"] = _opened(run, pairs["prompt"])
        shares, _ = read_table(run.folder / SHARES, kind="shares")
        values = shares.loc[shares["attribute"] == asked.attribute, "value"]
        table = measure_levels(
            pairs,
            values=list(dict.fromkeys(values)),
            words={"female": asked.female, "male": asked.male},
            resampling=run.config.study.resampling,
        )
        figures = {
            "words": settings.level_words,
            "n_images": settings.n_level_images,
            "attribute": asked.attribute,
            "levels": _by_level(table),
        }
        found = Answer("\n".join(_lines(figures)), figures)
        return {"level_images": pairs, "level_figures": table}, found


def _opened(run: Run, prompts: pd.Series) -> pd.Series:
    """Whether the gate has each prompt corrected."""
    moesd = run.load_correction()
    distinct = list(dict.fromkeys(prompts))
    is_open = moesd.decide(distinct, moesd.encoder.embed(distinct)).is_open
    return prompts.map(dict(zip(distinct, is_open.tolist(), strict=True)))


def _by_level(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Nest the figures: by level, split and measure, and by side where both have one."""
    from probe.run.evaluation.measurement import SIDES

    levels: dict[str, dict[str, Any]] = {}
    for row in table.to_dict("records"):
        level = levels.setdefault(row["level"], {"level": row["level"]})
        split = level.setdefault(row["split"], {})
        found = {key: row[key] for key in ("value", "low", "high", "n")}
        found |= {key: row[key] for key in ("floor", "p") if row[key] == row[key]}  # no NaN
        measure = row["measure"].removesuffix("_difference")
        is_difference = measure != row["measure"]
        part = "difference" if is_difference else SIDES.get(row["side"], "")
        split.setdefault(measure, {}).update({part: found} if part else found)
    return list(levels.values())


def _lines(figures: dict[str, Any]) -> list[str]:
    from probe.run.studies.levels.tables import NONE

    lines = [
        f"{figures['n_images']} images of each occupation, level and model, wordings "
        f"{figures['words']}"
    ]
    for level in figures["levels"]:
        of = level["all"]
        if level["level"] == NONE:
            mad, change = of["mad"], of["mad"]["difference"]
            says = (
                f"MAD {interval(mad['base'])} before, {interval(mad['corrected'])} after, "
                f"difference {interval(change)}, {p_value(change['p'])}, a fair model by chance "
                f"{mad['base']['floor']:.3f}"
            )
        else:
            right = of["adherent"]
            says = (
                f"shows the gender asked for in {interval(right['base'])} before, "
                f"{interval(right['corrected'])} after"
            )
        says += (
            f"; corrected {interval(of['opened'])} of {of['opened']['n']} prompts, changed "
            f"{interval(of['changed'])} of {of['changed']['n']} images"
        )
        if other := of.get("relabelled"):
            says += f", another gender in {interval(other)} of these {other['n']}"
        lines.append(f"{level['level']}: {says}")
    return lines
