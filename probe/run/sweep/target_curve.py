"""What a run's pictures got of the shares that were asked for, occupation by occupation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.fairness import fairness_figures
from probe.io.artifacts import read_table
from probe.run.evaluation.measurement import SIDES, SPLITS
from probe.run.files import SHARES
from probe.run.folder import Run
from probe.run.routing import target_of
from probe.stats.mean import mean_interval
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling
from probe.text.templates import fill

Found = dict[str, Any]

_LEAST = 1e-6  # of a share that is asked for: the measures know no target of nothing


def read_met(run: Run) -> dict[str, dict[str, Found]]:
    """Measure what an evaluated run's pictures got; by side, as people call it: `measure_met`."""
    shares, _ = read_table(run.folder / SHARES, kind="shares")
    config, template = run.config.evaluate, run.lexicon.neutral_templates[0]
    own = shares[(shares["attribute"] == config.attribute) & (shares["value"] == config.female)]
    target = target_of(run)
    asked = {
        subject: float(target.of(fill(template, subject=subject))[0])
        for subject in dict.fromkeys(own["subject"])
    }
    drawing = {"resampling": config.resampling}
    return {
        name: measure_met(own[own["side"] == side], asked, **drawing)
        for side, name in SIDES.items()
    }


def measure_met(
    shares: pd.DataFrame, asked: Mapping[str, float], *, resampling: Resampling
) -> dict[str, Found]:
    """Measure the shares in the pictures of one side, and how far they are from those asked for.

    Parameters
    ----------
    shares : DataFrame
        One row an occupation: ``subject``, ``split``, ``count`` of ``n`` pictures that show the
        value.
    asked : mapping of str to float
        Share that is asked for, by occupation.
    resampling : Resampling

    Returns
    -------
    dict of str to dict
        ``share``: mean over the occupations; ``off_target``: mean distance from what is asked, 0
        if it is met, with its ``floor``, what independent draws at just these shares would score.
        Each has ``value``, ``low`` and ``high`` (over occupations) and ``asked``, the mean of what
        is asked for, and comes for all occupations, ``_trained`` and ``_held_out``; a split without
        any is left out.
    """
    figures: dict[str, Found] = {}
    for split in SPLITS:
        of = shares if split == "all" else shares[shares["split"] == split]
        if of.empty:
            continue
        ending = "" if split == "all" else f"_{split}"
        hits, n = of["count"].to_numpy(), of["n"].to_numpy()
        wanted = of["subject"].map(dict(asked)).to_numpy(float)
        fair = np.stack([wanted, 1 - wanted], axis=1).clip(_LEAST, 1 - _LEAST)
        if len(of) > 1:
            share = asdict(mean_interval(hits / n, bounds=(0.0, 1.0), resampling=resampling))
        else:
            share = asdict(binomial_interval(int(hits[0]), int(n[0])))
        found = fairness_figures(
            np.stack([hits, n - hits], axis=1), target=fair, resampling=resampling
        )
        mean = {"asked": float(wanted.mean())}
        figures[f"share{ending}"] = share | mean
        figures[f"off_target{ending}"] = asdict(found["mad"]) | mean
    return figures
