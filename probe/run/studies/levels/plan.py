"""Which pictures show the levels of specificity: wordings, genders and noise in turn."""

from __future__ import annotations

import pandas as pd

from probe.images.plan import GenerationPlan, planned_rows
from probe.text.challenge_prompts import GENDERS


def plan_levels(prompts: pd.DataFrame, *, n_images: int, seed: int) -> GenerationPlan:
    """Plan as many pictures of each occupation at every level, the wordings taken in turn.

    Where the level says a gender, one half of the pictures ask for each, from the same noise.
    Picture i of an occupation starts from the noise of picture i of the run, so that a prompt which
    is the run's own gives its picture.

    Parameters
    ----------
    prompts : DataFrame
        As `probe.text.challenge_prompts.PromptTemplates.by_level` builds them.
    n_images : int
        Pictures of each occupation and level; even.
    seed : int
        Seed of the noise.

    Returns
    -------
    GenerationPlan
        With the columns of its table and ``level``, ``asked`` (a gender, or empty) and ``split``.
    """
    tables = []
    by_prompt = prompts.groupby(["level", "subject", "split"], sort=False)
    for (level, subject, split), of in by_prompt:
        genders = GENDERS if (of["gender"] != "").all() else ("",)
        for gender in genders:
            wordings = of.loc[of["gender"] == gender, "prompt"].tolist()
            kind = f"{level}-{gender}" if gender else level
            rows = planned_rows(kind, subject, wordings, n_images // len(genders), seed)
            tables.append(pd.DataFrame(rows).assign(level=level, asked=gender, split=split))
    return GenerationPlan(pd.concat(tables, ignore_index=True))
