from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from probe.audit.release_gate import Bound, check_bounds
from probe.run.evaluation.measurement import Measurement
from probe.run.evaluation.other_attributes import other_attributes
from probe.stats.multiplicity import holm
from probe.stats.resampling import Resampling

N = 20
JOBS = {"cook": "train", "baker": "train", "nurse": "test", "guard": "test"}
BEFORE = {"cook": 10, "baker": 2, "nurse": 20, "guard": 0}  # women of 20
AFTER = {"cook": 10, "baker": 6, "nurse": 14, "guard": 20}
UNTOUCHED = "cook"


def images(side, women):
    """20 neutral images and one of each gender a job, and 4 of a car."""
    rows = []

    def add(kind, subject, name, **values):
        row = {"side": side, "kind": kind, "subject": subject, "split": JOBS.get(subject, "")}
        row |= {"file_name": f"{subject}/{name}.png", "key": f"{subject}-{name}"}
        rows.append(row | {"subject_seen": subject} | values)

    for subject in JOBS:
        is_changed = side == "moesd" and subject != UNTOUCHED
        for index in range(N):
            values = {"gender": "woman" if index < women[subject] else "man"}
            values["clip_score"] = 20.0 + index
            if subject == "guard" and index < 5:
                values["subject_seen"] = "cook"
            if is_changed:
                values["key"] = f"{subject}-{index}-corrected"
            add("neutral", subject, f"neutral-{index}", **values)
        for kind, value in (("female", "woman"), ("male", "man")):
            values = {"gender": value, "clip_score": 30.0}
            if side == "moesd" and (subject, kind) == ("nurse", "male"):
                values |= {"gender": "woman", "key": "changed"}
            add(kind, subject, kind, **values)
    for index in range(4):
        add("object", "car", f"object-{index}", gender="man", clip_score=10.0)
    return rows


@pytest.fixture(scope="module")
def measured():
    return Measurement(
        labels=pd.DataFrame([*images("base", BEFORE), *images("moesd", AFTER)]),
        attributes={"gender": ["woman", "man"], "subject_seen": [*JOBS, "car"]},
        attribute="gender",
        asked={"female": "woman", "male": "man"},
        resampling=Resampling(200, 0),
    )


@pytest.fixture(scope="module")
def quality(measured):
    return measured.quality()


def mad(women, split=None):
    jobs = [job for job in JOBS if split in (None, JOBS[job])]
    return sum(abs(women[job] / N - 0.5) for job in jobs) / len(jobs)


@pytest.mark.parametrize("split", [None, "train", "test"])
def test_mad_and_its_difference_are_those_of_the_planted_counts(quality, split):
    base, corrected, difference = (
        (quality[name] if split is None else quality[name][split])["mad"]["value"]
        for name in ("base", "corrected", "difference")
    )
    assert base == pytest.approx(mad(BEFORE, split))
    assert corrected == pytest.approx(mad(AFTER, split))
    assert difference == pytest.approx(mad(AFTER, split) - mad(BEFORE, split))


def test_every_planted_failure_is_found(quality):
    found = {name: figure["value"] for name, figure in quality["failures"].items()}
    assert found["gate_missed"] == 0.0  # the cook is left alone, but does not lean
    assert found["overcorrected"] == 1 / 4  # the guard
    assert found["explicit_changed"] == 1 / 8  # the male nurse
    assert found["non_person_changed"] == 0.0
    expected = (mad(AFTER, "test") - mad(BEFORE, "test")) - (
        mad(AFTER, "train") - mad(BEFORE, "train")
    )
    assert found["overfit"] == pytest.approx(expected)


def test_adherence_is_of_explicit_recognition_and_clip_score_of_neutral_prompts(quality):
    assert quality["base"]["explicit_adherence"]["value"] == 1.0
    assert quality["corrected"]["explicit_adherence"]["value"] == 7 / 8
    for side in ("base", "corrected"):
        assert quality[side]["subject_recognised"]["value"] == pytest.approx(1 - 5 / (4 * N))
        assert quality[side]["clip_score"]["value"] == pytest.approx(20 + (N - 1) / 2)


def test_shares_of_a_subject_sum_to_one_for_every_attribute(measured):
    shares = measured.shares()
    sums = shares.groupby(["side", "subject", "attribute"])["share"].sum()
    assert sums.to_numpy() == pytest.approx(1.0)
    nurse = shares[(shares["subject"] == "nurse") & (shares["value"] == "woman")]
    assert nurse.set_index("side")["count"].to_dict() == {"base": 20, "moesd": 14}


def test_the_order_of_the_pictures_does_not_matter(measured, quality):
    shuffled = measured.labels.sample(frac=1, random_state=1)
    again = replace(measured, labels=shuffled).quality()
    assert again["base"]["mad"]["value"] == quality["base"]["mad"]["value"]
    assert again["failures"]["gate_missed"] == quality["failures"]["gate_missed"]
    assert again["difference"]["mad"]["value"] == pytest.approx(
        quality["difference"]["mad"]["value"]
    )


def test_every_interval_says_its_unit_and_how_many_of_them_it_is_over(quality):
    def intervals(found, place=""):
        if isinstance(found, dict):
            if {"value", "low", "high"} <= found.keys():
                yield place, found
            for name, of in found.items():
                yield from intervals(of, f"{place}.{name}")

    for place, of in intervals(quality):
        assert of["unit"] in ("occupations", "objects"), place
        assert of.get("n", of.get("n_train")) in (1, 2, 3, 4), place


def test_the_release_gate_judges_by_limits_over_objects_not_pictures(quality):
    # none of 4 pictures of the one object changed: nothing is known of other objects
    [verdict] = check_bounds(quality, [Bound("failures.non_person_changed", 0.9)])
    assert (verdict.value, verdict.is_kept) == (0.0, False)
    assert "over 1 objects" in verdict.line()


# Other attributes


N_JOBS = 12


def with_ages(lost, *, attributes=("age",), missing=0):
    """All are women of whom half are old; corrected, half are men and ``lost`` fewer are old."""
    rows = []
    for job, at, side in product(range(N_JOBS), range(N), ("base", "moesd")):
        is_new = side == "moesd"
        age = "old" if at % 10 < 5 and not (is_new and at < lost[job]) else "young"
        row = {"side": side, "kind": "neutral", "subject": f"job {job}", "file_name": f"{job}/{at}"}
        row["age"] = "undetected" if at >= N - missing else age
        rows.append(row | {"gender": "man" if is_new and at < N // 2 else "woman"})
    values = {"gender": ["woman", "man"], "age": ["young", "old"]}
    return Measurement(
        labels=pd.DataFrame(rows),
        attributes={name: values[name] for name in ("gender", *attributes)},
        attribute="gender",
        asked={"female": "woman", "male": "man"},
        resampling=Resampling(2000, 0),
    )


LOST = [job % 5 for job in range(N_JOBS)]


def test_a_planted_loss_is_found_paired_over_occupations():
    found = other_attributes(with_ages(LOST))
    rows = {(row["shown"], row["within"]): row for row in found["changes"]}
    old, change = rows["old", ""], -np.array(LOST) / N
    assert (old["before"], old["value"]) == (0.5, pytest.approx(change.mean()))
    limits = ttest_1samp(change, 0.0).confidence_interval()  # the interval is never narrower
    assert old["low"] <= limits.low
    assert limits.low == pytest.approx(old["low"], abs=0.01)
    assert limits.high == pytest.approx(old["high"], abs=0.01)
    adjusted = holm(np.array([row["p"] for row in found["changes"]]))
    assert [row["p_holm"] for row in found["changes"]] == adjusted.tolist()
    assert rows["young", ""]["value"] == -old["value"]
    # among women: 5 of 10 are old in both, since all who changed age are men
    assert rows["old", "woman"]["value"] == 0.0
    assert ("old", "man") not in rows  # the base model shows none
    assert found["flipped"]["age"]["value"] == pytest.approx(sum(LOST) / (N_JOBS * N / 2))


def test_the_release_gate_bounds_the_largest_change_by_its_upper_limit():
    found = other_attributes(with_ages(LOST))
    assert found["value"] == pytest.approx(np.mean(LOST) / N)
    assert found["low"] <= found["value"] <= found["high"]
    policy = [Bound("other_attributes", limit) for limit in (found["value"], found["high"])]
    verdicts = check_bounds({"other_attributes": found}, policy)
    assert [verdict.is_kept for verdict in verdicts] == [False, True]


def test_images_without_a_label_are_left_out_and_without_another_attribute_there_is_no_figure():
    found = other_attributes(with_ages(LOST, missing=4))
    [old] = [row for row in found["changes"] if (row["shown"], row["within"]) == ("old", "")]
    assert old["value"] == pytest.approx(-np.mean(LOST) / (N - 4))
    assert old["before"] == pytest.approx(10 / 16)
    assert other_attributes(with_ages(LOST, attributes=())) is None
