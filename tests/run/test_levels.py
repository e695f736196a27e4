"""Levels of specificity in pictures: the plan, what is measured, and the study itself."""

import numpy as np
import pandas as pd
import pytest

from probe.run.studies.levels.study import LEVEL_WORDS, LevelsConfig
from probe.run.studies.levels.tables import measure_levels, plan_levels
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling
from probe.text.challenge_prompts import CHALLENGES, PromptTemplates

SUBJECTS = {"train": ["nurse", "carpenter"], "test": ["cook"]}
LEVELS = ["none", "name", "pronoun", "hint", "adjective", "noun"]
DRAWING = {"resampling": Resampling(50, 0)}


def pairs(level="none", asked=("", ""), seen=("woman", "man"), after=None, n=4, **columns):
    """Pictures of four occupations, as many of each gender asked for, all of one kind."""
    after = seen if after is None else after
    rows = []
    for subject in ("nurse", "carpenter", "cook", "lawyer"):
        for picture in range(n):
            half = picture % 2
            key = f"{subject}-{picture}"
            is_same = after[half] == seen[half]
            rows.append(
                {
                    "level": level,
                    "split": "test" if subject == "cook" else "train",
                    "subject": subject,
                    "asked": asked[half],
                    "prompt": f"{subject} {asked[half]}",
                    "is_open": not is_same,
                    "seen_base": seen[half],
                    "seen_moesd": after[half],
                    "key_base": key,
                    "key_moesd": key if is_same else f"{key}'",
                    **columns,
                }
            )
    return pd.DataFrame(rows)


def measured(table, **options):
    words = {"female": "woman", "male": "man"}
    found = measure_levels(table, values=["woman", "man"], words=words, **DRAWING, **options)
    return found.set_index(["split", "measure", "side"]).sort_index()


# The plan


@pytest.mark.parametrize("words", LEVEL_WORDS)
def test_every_level_has_as_many_pictures_of_each_occupation_and_gender(words):
    prompts = PromptTemplates.load(CHALLENGES[words]).by_level(SUBJECTS)
    table = plan_levels(prompts, n_images=4, seed=7).table
    assert list(dict.fromkeys(table["level"])) == LEVELS
    assert (table.groupby(["level", "subject"]).size() == 4).all()
    asked = table[table["level"] != "none"]
    assert (asked.groupby(["level", "subject", "asked"]).size() == 2).all()
    assert set(asked["asked"]) == {"male", "female"}
    assert (table.loc[table["level"] == "none", "asked"] == "").all()
    seeds = table.groupby(["subject", "level", "asked"])["seed"]
    noises = seeds.agg(lambda of: tuple(of)[:2])  # of a subject the same, whatever is asked
    assert (noises.groupby("subject").nunique() == 1).all()


@pytest.mark.parametrize("n", [0, 3])
def test_a_number_of_pictures_that_cannot_be_halved_is_refused(n):
    with pytest.raises(ValueError, match=f"n_level_images is {n}; needed"):
        LevelsConfig(n_level_images=n)


# What is measured


def test_a_correction_of_neutral_prompts_is_fairer_by_the_difference_of_mad():
    found = measured(pairs(seen=("man", "man"), after=("woman", "man")))
    assert found.loc[("all", "mad", "base"), "value"] == 0.5
    assert found.loc[("all", "mad", "moesd"), "value"] == 0.0
    assert found.loc[("all", "mad_difference", ""), "value"] == -0.5
    assert found.loc[("all", "changed", ""), "value"] == 0.5
    assert found.loc[("all", "relabelled", ""), "value"] == 1.0
    assert found.loc[("all", "relabelled", ""), "n"] == 8
    assert ("all", "adherent", "base") not in found.index
    assert found.loc[("all", "mad", "base"), "floor"] == pytest.approx(3 / 16)  # 4 fair coins
    assert found.loc[("train", "mad", "base"), "n"] == 12
    assert found.loc[("test", "mad", "base"), "n"] == 4


def test_what_is_asked_for_and_shown_is_adherence_and_what_is_lost_is_told():
    asked = ("female", "male")
    kept = measured(pairs("noun", asked))
    assert kept.loc[("all", "adherent", "base"), "value"] == 1.0
    assert kept.loc[("all", "mad", "base"), "value"] == 0.0
    assert np.isnan(kept.loc[("all", "mad", "base"), "floor"])
    assert kept.loc[("all", "changed", ""), "value"] == 0.0
    assert ("all", "relabelled", "") not in kept.index
    lost = measured(pairs("noun", asked, after=("man", "man")))
    assert lost.loc[("all", "adherent", "moesd"), "value"] == 0.5
    assert lost["value"].between(lost["low"], lost["high"]).all()
    change = lost.loc[("all", "adherence_difference", "")]
    assert change["value"] == -0.5
    # 4 occupations that all change alike: 60 % of others may have been missed, at any change
    assert change["high"] == pytest.approx(-0.5 + 1.5 * binomial_interval(0, 4).high)
    bound = pytest.approx(binomial_interval(0, 4).high)  # where nothing differs
    change = kept.loc[("all", "adherence_difference", "")]
    assert (-change["low"], change["high"]) == (bound, bound)
