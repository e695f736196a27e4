"""A change of score taken apart: what comes of the pictures, and what of who is in them."""

import numpy as np
import pandas as pd
import pytest

from probe.images.quality.composition import decompose_change


def pictures(cells):
    """Rows of {(subject, gender): (number, score)}, scores spread evenly around theirs."""
    return pd.DataFrame(
        [
            (subject, gender, score + offset)
            for (subject, gender), (number, score) in cells.items()
            for offset in np.linspace(-1, 1, number)
        ],
        columns=["subject", "gender", "score"],
    )


BEFORE = pictures({("nurse", "woman"): (9, 70.0), ("nurse", "man"): (3, 60.0)})


def test_other_people_alone_change_nothing_like_for_like():
    after = pictures({("nurse", "woman"): (6, 70.0), ("nurse", "man"): (6, 60.0)})
    found = decompose_change(BEFORE, after, group="gender")
    assert found.like_for_like == pytest.approx([0.0])
    assert found.composition == pytest.approx([-2.5])
    assert found.seen == pytest.approx([1.0])


def test_worse_pictures_of_the_same_people_are_all_like_for_like():
    worse = BEFORE.assign(score=BEFORE["score"] - 3)
    found = decompose_change(BEFORE, worse, group="gender")
    assert found.like_for_like == pytest.approx([-3.0])
    assert found.composition == pytest.approx([0.0])


def test_the_parts_are_kitagawas_and_sum_to_the_change():
    after = pictures({("nurse", "woman"): (5, 66.0), ("nurse", "man"): (15, 61.0)})
    found = decompose_change(BEFORE, after, group="gender")
    expected = (0.75 + 0.25) / 2 * (66 - 70) + (0.25 + 0.75) / 2 * (61 - 60)
    assert found.like_for_like == pytest.approx([expected])
    change = after["score"].mean() - BEFORE["score"].mean()
    assert found.like_for_like + found.composition == pytest.approx([change])


def test_a_value_that_one_side_never_shows_is_taken_to_change_as_the_others_do():
    after = pictures({("nurse", "woman"): (4, 71.0)})
    found = decompose_change(BEFORE, after, group="gender")
    assert found.like_for_like == pytest.approx([1.0])
    assert found.seen == pytest.approx([(0.75 + 1.0) / 2])
    assert found.composition == pytest.approx([71.0 - 67.5 - 1.0])


def test_a_subject_that_shares_no_value_and_labels_that_are_missing_do_not_count():
    before = pd.concat([BEFORE, pictures({("judge", "man"): (4, 50.0)})])
    after = pd.concat([BEFORE, pictures({("judge", "woman"): (4, 50.0)})])
    after = pd.concat([after, pd.DataFrame([("nurse", None, 0.0)], columns=list(after))])
    found = decompose_change(before, after, group="gender")
    assert found.subjects == ["nurse"]
    assert found.like_for_like == pytest.approx([0.0])
    assert found.composition == pytest.approx([0.0])
