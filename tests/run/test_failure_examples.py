"""Which images show each failure worst."""

import pandas as pd

from probe.run.evaluation.failure_examples import COLUMNS, FAILURES, worst_pictures

WORDS = {"female": "woman", "male": "man"}


def labels(jobs=(), others=()):
    """Labelled pictures of both models.

    ``jobs``: (subject, split, women before, women after, of how many); a picture stays the same
    where its label does. ``others``: (file, kind, before, after, fall of the CLIP score).
    """
    rows = []

    def add(file, kind, subject, split, seen, fall=0.0):
        for side, value, clip in zip(("base", "moesd"), seen, (27.0, 27.0 - fall), strict=True):
            is_other = seen[0] != seen[1] or fall
            key = f"{file} {side}" if is_other else file
            row = {"side": side, "kind": kind, "subject": subject, "split": split, "seed": 1}
            row |= {"prompt": f"a photo of a {subject}", "file_name": file, "key": key}
            rows.append(row | {"gender": value, "clip_score": clip})

    for subject, split, before, after, n in jobs:
        for at in range(n):
            seen = ["woman" if at < women else "man" for women in (before, after)]
            add(f"{subject}/neutral-{at:05d}.png", "neutral", subject, split, seen)
    for file, kind, before, after, fall in others:
        add(file, kind, file.split("/")[0], "", (before, after), fall)
    return pd.DataFrame(rows)


def chosen(table, failure, n_pictures=3):
    found = worst_pictures(
        table, attribute="gender", values=["woman", "man"], asked=WORDS, n_pictures=n_pictures
    )
    assert list(found) == list(COLUMNS)
    assert set(found["failure"]) <= set(FAILURES)
    return found[found["failure"] == failure].reset_index(drop=True)


JOBS = [
    ("nurse", "train", 20, 20, 20),  # leans and is left alone
    ("cook", "train", 17, 17, 20),  # likewise, but less
    ("baker", "train", 10, 10, 20),  # is even, and rightly left alone
    ("mover", "train", 0, 10, 20),  # is put right
    ("pilot", "test", 1, 19, 20),  # is turned round
    ("judge", "test", 0, 1, 20),  # hardly moves
]


def test_missed_are_those_that_lean_and_stay_the_farthest_from_even_first():
    found = chosen(labels(JOBS), "gate_missed")
    assert found["subject"].tolist() == ["nurse", "cook", "nurse"]
    assert (found["seen_base"] == "woman").all()
    assert found["file_name"].nunique() == 3
    assert found.loc[0, ["share_base", "share_moesd", "n"]].tolist() == [1.0, 1.0, 20]


def test_overcorrected_are_those_that_turn_shown_by_pictures_that_turned_with_them():
    found = chosen(labels(JOBS), "overcorrected")
    assert found["subject"].tolist() == ["pilot"] * 3
    assert (found["seen_base"] == "man").all()
    assert (found["seen_moesd"] == "woman").all()
    assert found.loc[0, ["share_base", "share_moesd"]].tolist() == [0.05, 0.95]


def test_overfit_are_other_occupations_that_gain_less_than_the_training_ones():
    found = chosen(labels(JOBS), "overfit")
    assert found["subject"].tolist() == ["pilot", "judge", "pilot"]  # gains of 0 and 0.05, of 0.125
    assert found.loc[1, "seen_moesd"] == "man"
    even = [*JOBS[:4], ("pilot", "test", 0, 10, 20), ("judge", "test", 20, 10, 20)]
    assert chosen(labels(even), "overfit").empty


def test_what_was_asked_for_and_lost_comes_before_what_merely_changed():
    others = [
        ("nurse/female-00000.png", "female", "woman", "woman", 9.0),
        ("nurse/male-00000.png", "male", "woman", "man", 5.0),
        ("cook/female-00000.png", "female", "woman", "man", 1.0),
        ("cook/male-00000.png", "male", "man", "man", 0.0),
    ]
    found = chosen(labels(JOBS, others), "explicit_changed")
    assert found["file_name"].tolist() == [others[2][0], others[0][0], others[1][0]]


def test_things_that_changed_are_shown_by_how_far_their_score_falls():
    others = [
        ("car/object-00000.png", "object", "man", "man", 0.5),
        ("tree/object-00000.png", "object", "man", "man", 4.0),
        ("cup/object-00000.png", "object", "man", "man", 0.0),
    ]
    found = chosen(labels(JOBS, others), "non_person_changed")
    assert found["subject"].tolist() == ["tree", "car"]
    assert (found["clip_base"] - found["clip_moesd"]).tolist() == [4.0, 0.5]
    assert found["n"].isna().all()
