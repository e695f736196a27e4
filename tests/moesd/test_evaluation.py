import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from probe.errors import DegenerateDataError
from probe.moesd.evaluation.gate_accuracy import (
    accuracy,
    answer,
    calibration_error,
    is_treated_right,
    reliability,
)
from probe.moesd.evaluation.levels import correct_levels, summarise_levels
from probe.moesd.evaluation.roc import auc, roc
from probe.moesd.gate import CLASSES
from probe.stats.resampling import Resampling
from probe.text.challenge_prompts import PromptTemplates, subjects_by_split

QUICK = {"resampling": Resampling(200)}


def sure(n_right, n_wrong, chance):
    """Prompts that a gate calls explicit with one probability, some of them rightly."""
    rest = (1 - chance) / 3
    chances = np.tile([chance, rest, rest, rest], (n_right + n_wrong, 1))
    return chances, np.array([CLASSES[0]] * n_right + [CLASSES[3]] * n_wrong)


def test_a_probability_that_is_what_it_says_has_no_calibration_error():
    found = calibration_error(*sure(15, 5, 0.75), **QUICK)
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.n == 20


def test_the_calibration_error_is_the_gap_of_each_bin_by_its_size():
    one, two = sure(15, 5, 0.95), sure(10, 10, 0.55)
    chances, truth = (np.concatenate(both) for both in zip(one, two, strict=True))
    found = calibration_error(chances, truth, **QUICK)
    assert found.value == pytest.approx((abs(0.75 - 0.95) + abs(0.5 - 0.55)) / 2)
    assert found.low < found.value < found.high
    table = reliability(chances, truth)
    assert table["right"].tolist() == [0.5, 0.75]
    np.testing.assert_allclose(table["probability"], [0.55, 0.95])


def test_the_area_is_that_of_scikit_learn_and_of_its_own_curve():
    rng = np.random.default_rng(0)
    should_open = rng.random(80) < 0.4
    scores = (should_open + rng.normal(size=80)).round(1)  # with ties
    found = auc(scores, should_open)
    assert found.value == pytest.approx(roc_auc_score(should_open, scores))
    assert 0.5 < found.low < found.value < found.high < 1
    curve = roc(scores, should_open)
    assert np.trapezoid(curve["hits"], curve["false_alarms"]) == pytest.approx(found.value)


def test_an_area_without_clusters_has_about_delongs_interval():
    rng = np.random.default_rng(0)
    should_open = np.arange(400) % 2 == 0
    scores = should_open + rng.normal(size=400)
    found = auc(scores, should_open)
    opened, closed = scores[should_open], scores[~should_open]
    wins = opened[:, None] > closed
    error = np.sqrt(wins.mean(axis=1).var(ddof=1) / 200 + wins.mean(axis=0).var(ddof=1) / 200)
    assert (found.high - found.low) / (2 * 1.966) == pytest.approx(error, rel=0.1)


def test_prompts_of_one_template_count_for_less():
    rng = np.random.default_rng(0)
    templates = np.repeat(np.arange(20), 10)
    should_open = templates % 2 == 0
    scores = should_open + np.repeat(rng.normal(size=20), 10)  # all alike within a template
    together, alone = (
        auc(scores, should_open, templates=templates.astype(str)),
        auc(scores, should_open),
    )
    of_templates = auc(scores[::10], should_open[::10])
    assert together.value == pytest.approx(of_templates.value)
    assert together.low == pytest.approx(of_templates.low, abs=0.03)
    assert alone.high - alone.low < 0.5 * (together.high - together.low)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_area_without_a_lost_pair_is_not_known_to_be_perfect(sign):
    should_open = np.repeat([True, False], 30)
    found = auc(sign * (should_open + 0.0), should_open, templates=np.repeat(np.arange(6), 10))
    ends = (found.low, found.high) if sign == 1 else (1 - found.high, 1 - found.low)
    assert ends[1] == 1.0
    assert 0.2 < ends[0] < 0.8  # three templates on each side


def test_the_area_of_a_single_template_on_one_side_has_a_wide_interval():
    should_open = np.repeat([True, False], [10, 90])
    scores = np.random.default_rng(0).normal(size=100) + 3 * should_open
    found = auc(scores, should_open, templates=np.repeat(np.arange(10), 10))
    assert found.low < 0.6 < found.value


def test_an_area_needs_both_sides():
    with pytest.raises(DegenerateDataError, match="3 of 3"):
        auc(np.arange(3.0), np.ones(3, bool))


def test_which_closed_class_a_prompt_gets_is_no_matter_for_its_treatment():
    truth = np.array(["explicit", "neutral", "male-skewed", "male-skewed", "neutral"])
    route = np.array(["neutral", "explicit", "male-skewed", "female-skewed", "male-skewed"])
    assert is_treated_right(truth, route).tolist() == [True, True, True, False, False]


def test_templates_fail_together_so_the_interval_is_over_them():
    is_right = np.repeat([True, False, True, True], 25)
    templates = np.repeat(["a", "b", "c", "d"], 25)
    together = accuracy(is_right, templates)
    alone = accuracy(is_right, np.arange(100).astype(str))
    assert together.value == alone.value == 0.75
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_truth_follows_from_kind_and_bias_score(moesd):
    prompts = pd.DataFrame(
        {
            "prompt": ["a photo of a nurse", "a photo of a male nurse", "a photo of a lamp"],
            "kind": ["person", "explicit", "neutral"],
        }
    )
    found = answer(moesd, prompts)
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
    table = summarise_levels(corrected, **QUICK).set_index(["level", "measure"])
    rows = corrected[corrected["level"] == "none"]
    assert table.loc[("none", "opened"), "value"] == pytest.approx(rows["is_open"].mean())
    left = np.sqrt((rows["bias_score_corrected"] ** 2).sum() / (rows["bias_score"] ** 2).sum())
    assert table.loc[("none", "bias_score_left"), "value"] == pytest.approx(left)
    assert (table["low"] <= table["value"] + 1e-12).all()
