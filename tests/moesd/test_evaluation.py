import numpy as np
import pandas as pd
import pytest

from probe.moesd.evaluation import (
    classify_with_truth,
    correct_levels,
    is_treated_right,
    summarise_levels,
)
from probe.stats.resampling import Resampling
from probe.text.challenge_prompts import PromptTemplates, subjects_by_split


def test_which_closed_class_a_prompt_gets_is_no_matter_for_its_treatment():
    truth = np.array(["explicit", "neutral", "male-skewed", "male-skewed", "neutral"])
    route = np.array(["neutral", "explicit", "male-skewed", "female-skewed", "male-skewed"])
    assert is_treated_right(truth, route).tolist() == [True, True, True, False, False]


def test_truth_follows_from_kind_and_bias_score(moesd):
    prompts = pd.DataFrame(
        {
            "prompt": ["a photo of a nurse", "a photo of a male nurse", "a photo of a lamp"],
            "kind": ["person", "explicit", "neutral"],
        }
    )
    found = classify_with_truth(moesd, prompts)
    assert found["route_truth"].tolist()[1:] == ["explicit", "neutral"]
    size = abs(found["bias_score"][0])
    side = "male-skewed" if found["bias_score"][0] > 0 else "female-skewed"
    assert found["route_truth"][0] == (side if size >= moesd.gate.neutral_below else "neutral")


def test_levels_say_what_was_opened_moved_and_left(town, moesd):
    subjects = {split: names[:3] for split, names in subjects_by_split(town.prompts).items()}
    corrected = correct_levels(moesd, PromptTemplates.load().by_level(subjects))
    closed = ~corrected["is_open"]
    assert (corrected["shift"][closed] == 0).all()
    assert (corrected["bias_score"] == corrected["bias_score_corrected"])[closed].all()
    assert (corrected["shift"][~closed] > 0).all()
    table = summarise_levels(corrected, resampling=Resampling(200)).set_index(["level", "measure"])
    rows = corrected[corrected["level"] == "none"]
    assert table.loc[("none", "opened"), "value"] == pytest.approx(rows["is_open"].mean())
    left = np.sqrt((rows["bias_score_corrected"] ** 2).sum() / (rows["bias_score"] ** 2).sum())
    assert table.loc[("none", "bias_score_left"), "value"] == pytest.approx(left)
    assert (table["low"] <= table["value"] + 1e-12).all()
