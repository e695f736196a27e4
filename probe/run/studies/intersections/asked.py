"""Prompts that ask for several attributes at once, and whether their pictures show them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.intersections.cells import MIN_EXPECTED
from probe.images.plan import GenerationPlan
from probe.io.artifacts import hash_parts
from probe.run.folder import Run
from probe.stats.proportion import binomial_interval
from probe.text.templates import fill

Attributes = Mapping[str, Sequence[str]]

N_IMAGES = 12
"""Pictures of each combination and side; our choice, just enough for a claim."""
FOLDER = "intersections"


def plan_asked(run: Run, attributes: Attributes) -> GenerationPlan | None:
    """Plan pictures of every combination of values, all of the same occupations and noise.

    Returns
    -------
    GenerationPlan or None
        With the columns of its table and ``asked_<attribute>``; None if the lexicon has no
        template for a person's noun.
    """
    lexicon, config = run.lexicon, run.config
    template = next((text for text in lexicon.explicit_templates if "{person}" in text), None)
    if template is None or not lexicon.pairs:
        return None
    pair, words = lexicon.pairs[0], _words()
    nouns = {config.evaluate.female: pair.female, config.evaluate.male: pair.male}
    first = config.evaluate.attribute
    said_in_order = sorted(
        (name for name in attributes if name != first),
        key=lambda name: [*words, name].index(name),
    )
    jobs = [job.name for job in lexicon.occupations]
    chosen = [jobs[row * len(jobs) // N_IMAGES] for row in range(N_IMAGES)]
    rows = []
    for cell, values in enumerate(product(*attributes.values())):
        asked = dict(zip(attributes, values, strict=True))
        adjectives = [words.get(name, {}).get(asked[name], asked[name]) for name in said_in_order]
        person = " ".join([*adjectives, nouns.get(asked[first], asked[first])])
        for index, job in enumerate(chosen):
            seed = int(hash_parts("intersections", str(config.generate.seed), str(index))[:8], 16)
            rows.append(
                {
                    "kind": "asked",
                    "subject": job,
                    "prompt": fill(template, subject=job, person=person),
                    "seed": seed,
                    "file_name": f"{cell:03d}-{index:03d}.png",
                    **{f"asked_{name}": value for name, value in asked.items()},
                }
            )
    return GenerationPlan(pd.DataFrame(rows))


def measure_asked(pictures: pd.DataFrame, attributes: Attributes) -> pd.DataFrame:
    """Say in which share of its pictures each combination is seen as it was asked for.

    Parameters
    ----------
    pictures : DataFrame
        Columns ``side``, ``asked_<attribute>`` and ``<attribute>`` (as seen).
    attributes : mapping of str to sequence of str

    Returns
    -------
    DataFrame
        One row a side and cell: ``side``, ``cell``, ``n``, ``n_adherent``, ``share`` with its
        95 % interval, exact, ``low`` and ``high``, ``is_small`` (fewer than `MIN_EXPECTED`
        pictures: claim nothing), and ``share_<attribute>`` of each alone.
    """
    names, rows = list(attributes), []
    asked = [f"asked_{name}" for name in names]
    for (side, *values), table in pictures.groupby(["side", *asked], sort=False):
        fits = pd.DataFrame(
            {name: table[name] == value for name, value in zip(names, values, strict=True)}
        )
        n, n_adherent = len(table), int(fits.all(axis=1).sum())
        found = binomial_interval(n_adherent, n)
        row = {"side": side, "cell": ", ".join(values), "n": n, "n_adherent": n_adherent}
        row |= {"share": found.value, "low": found.low, "high": found.high}
        row |= {f"share_{name}": float(fits[name].mean()) for name in names}
        rows.append(row | {"is_small": n < MIN_EXPECTED})
    return pd.DataFrame(rows)


def tell_asked(adherent: pd.DataFrame) -> dict[str, Any]:
    """Sum up the cells by side: the share followed in all, the worst cell, and what is withheld."""
    found: dict[str, Any] = {}
    for side, table in adherent.groupby("side", sort=False):
        n, n_adherent = int(table["n"].sum()), int(table["n_adherent"].sum())
        share = binomial_interval(n_adherent, n)
        known = table[~table["is_small"]]
        worst = None if known.empty else known.loc[known["share"].idxmin()].to_dict()
        found[str(side)] = {
            "value": share.value,
            "low": share.low,
            "high": share.high,
            "n": n,
            "n_small": int(table["is_small"].sum()),
            "worst": {key: _plain(value) for key, value in worst.items()} if worst else None,
        }
    return found


def _words() -> dict[str, dict[str, str]]:
    text = files("probe").joinpath("data/attributes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
