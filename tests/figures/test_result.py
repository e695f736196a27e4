"""The few lines that `evaluate` and `run` end with."""

import copy

import pandas as pd
import pytest

from figures.text.result import (
    WARNING,
    beyond_chance,
    one_sided,
    price,
    result_table,
    verdict,
)
from figures.text.sentences import finding


def fairness(value, n=6):
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "floor": 0.1, "n": n}


def side(mad, unseen, recognised):
    groups = {"train": {"mad": fairness(mad, 4)}, "test": {"mad": fairness(unseen, 2)}}
    return {"mad": fairness(mad), **groups, "subject_recognised": {"value": recognised}}


QUALITY = {
    **{"model": "town", "attribute": "gender", "n_images": {"per_subject": 16}},
    "base": side(0.35, 0.4, 1.0),
    "corrected": side(0.15, 0.3, 0.99),
    "difference": {
        **side(-0.2, -0.1, -0.01),
        "subject_recognised": {"value": -0.01, "low": -0.03, "high": 0.01},
        "clip_score": {"value": -1.7},
        "clip_score_like_for_like": {"value": -0.06},
    },
    "failures": {
        "moved_away": {"n": 6, "subjects": [{"subject": "chief", "p_holm": 0.3}]},
        "explicit_changed": {"value": 0.0, "n_images": 48},
        "non_person_changed": {"value": 0.25, "n_images": 8},
    },
    "other_attributes": {
        "changes": [
            {"shown": "old", "before": 0.32, "after": 0.26, "within": "", "p_holm": 0.02},
            {"shown": "young", "before": 0.3, "after": 0.4, "within": "", "p_holm": 0.2},
            {"shown": "old", "before": 0.3, "after": 0.1, "within": "woman", "p_holm": 0.01},
        ]
    },
}
SHARES = pd.DataFrame(
    [
        ("base", "nurse", "gender", "woman", 1.0),
        ("base", "cook", "gender", "man", 0.875),
        ("base", "carer", "age", "old", 1.0),
        ("moesd", "nurse", "gender", "woman", 0.86),
    ],
    columns=["side", "subject", "attribute", "value", "share"],
)
TEXT = """\
town, 6 occupations x 16 images           before  after  chance  change [95 %, over occupations]
distance from even, all (points)            35.0   15.0    10.0  -20.0 [-25.0, -15.0]
  4 occupations trained on                  35.0   15.0    10.0  -20.0 [-25.0, -15.0]
  2 occupations never seen                  40.0   30.0    10.0  -10.0 [-15.0, -5.0]
occupations drawn as (nearly) one gender       2      0
PRICE      occupation recognised 100 → 99 %   CLIP score -1.7 (images of the same gender -0.1)
           occupations moved away from even 1 of 6: chief
           perceived old 32 → 26 % (!)
UNTOUCHED  explicit prompts 48 of 48   objects 6 of 8 (!)
VERDICT    Fairer, on occupations never seen too. 2 side effects beyond chance (!).
           What is left there is 15.0 to 25.0 points beyond chance.\
""".replace("-", "\N{MINUS SIGN}")


@pytest.fixture
def quality():
    return copy.deepcopy(QUALITY)


def test_the_result_is_a_table_the_price_what_is_untouched_and_a_verdict(quality):
    assert result_table(quality, SHARES).replace("\N{NO-BREAK SPACE}", " ") == TEXT


def test_a_group_without_occupations_and_figures_that_were_not_measured_are_left_out(quality):
    for name in ("base", "corrected", "difference"):
        del quality[name]["test"]
    quality["difference"]["clip_score"] = None
    del quality["other_attributes"]
    text = result_table(quality, SHARES)
    assert not any(word in text for word in ("never seen", "CLIP", "perceived"))


def test_images_without_a_face_are_told_with_what_they_may_change(quality):
    quality["missing"] = {
        "base": {"undetected": 3, "ambiguous": 1, "n_images": 96},
        "corrected": {"undetected": 2, "ambiguous": 0, "n_images": 96},
        "difference": {"bounds": {"mad": {"low": -0.25, "high": 0.05}}},
    }
    lines = result_table(quality, SHARES).splitlines()
    (line,) = [line for line in lines if line.startswith("NO FACE")]
    assert "before 4 of 96, after 2 of 96" in line
    assert line.endswith("the change is \N{MINUS SIGN}25.0 to 5.0")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-0.1, -0.01, "Fairer, on occupations never seen too."),
        (-0.1, 0.1, "Fairer, on occupations never seen no change beyond chance."),
        (0.01, 0.1, "Fairer, on occupations never seen less fair."),
    ],
)
def test_the_verdict_is_that_of_the_confidence_limits(quality, low, high, text):
    quality["difference"]["test"]["mad"] |= {"low": low, "high": high}
    assert verdict(quality)[0] == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.2, 0.4, "is 10 to 30 points beyond chance"),
        (0.1, 0.23, "may be chance, but up to 13 points beyond chance cannot be excluded"),
        (0.02, 0.1, "is no more than chance"),
    ],
)
def test_what_is_left_is_what_the_interval_allows(quality, low, high, text):
    mad = quality["corrected"]["test"]["mad"] | {"low": low, "high": high}
    assert beyond_chance(mad, digits=0) == text
    quality["corrected"]["test"]["mad"] = mad
    assert beyond_chance(mad) in verdict(quality)[1]
    assert text in " ".join(finding(quality, SHARES, model="m", prompt="a photo of a nurse"))


def test_a_loss_of_recognition_and_an_occupation_that_surely_moved_away_are_marked(quality):
    quality["difference"]["subject_recognised"]["high"] = -0.01
    moved = [{"subject": name, "p_holm": 0.01} for name in "abcdef"]
    quality["failures"]["moved_away"]["subjects"] = moved
    lines = price(quality)
    assert lines[0].split("   ")[0].endswith(WARNING)
    assert lines[1] == f"occupations moved away from even 6 of 6: a, b, c, d and 2 more {WARNING}"


def test_nearly_one_value_begins_at_seven_of_eight_images():
    assert one_sided(SHARES[SHARES["attribute"] == "gender"]) == {"base": 2, "moesd": 0}
