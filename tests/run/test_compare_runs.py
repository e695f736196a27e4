"""Runs are compared on the subjects that they share, pair by pair."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from figures.text.tables import runs_table
from probe.audit.fairness import paired_difference
from probe.errors import ArtifactError, DataError
from probe.io.artifacts import read_json, read_table, write_json, write_table
from probe.run.compare.runs import compare_runs


def other(finished_run: Path, folder: Path, change=lambda table: table) -> Path:
    """A run with other shares in its pictures."""
    (folder / "evaluation").mkdir(parents=True)
    for name in ("shares.parquet", "quality.json"):
        shutil.copy(finished_run / "evaluation" / name, folder / "evaluation")
    path = folder / "evaluation" / "shares.parquet"
    table, made = read_table(path, kind="shares")
    write_table(path, change(table.copy()), made)
    return folder


def fair(table):
    """Half of the pictures of each subject show each value."""
    n_values = table.groupby("attribute")["value"].transform("nunique")
    return table.assign(count=(table["n"] // n_values).astype(int))


def changes(found, side="base"):
    return {of["split"]: of for of in found["differences"] if of["side"] == side}


def test_a_run_and_its_copy_differ_in_nothing(finished_run, tmp_path):
    found = compare_runs([finished_run, other(finished_run, tmp_path / "copy")])
    assert {of["value"] for of in found["differences"]} == {0.0}
    assert {of["p_holm"] for of in found["differences"]} == {1.0}
    assert not any(found["missing"].values())
    quality = read_json(finished_run / "evaluation/quality.json", kind="quality")[0]
    for side in ("base", "corrected"):
        for figure in ("value", "floor"):
            known = pytest.approx(quality[side]["mad"][figure])
            assert found["runs"][0][side]["all"][figure] == known


def test_a_subject_that_one_run_was_trained_on_is_new_to_neither(finished_run, tmp_path):
    def another_split(table):
        moved = {"nurse": "train", "cook": "test"}
        return table.assign(split=table["subject"].map(moved).fillna(table["split"]))

    found = compare_runs([finished_run, other(finished_run, tmp_path / "other", another_split)])
    n = {split: of["n"] for split, of in changes(found).items()}
    assert n == {"all": 6, "train": 2, "validation": 1, "test": 1}


def test_the_difference_is_that_of_the_paired_counts(finished_run, tmp_path):
    second = other(finished_run, tmp_path / "fair", fair)
    found = changes(compare_runs([finished_run, second]))["all"]
    counts = []
    for folder in (finished_run, second):
        table, _ = read_table(folder / "evaluation/shares.parquet", kind="shares")
        table = table[(table["side"] == "base") & (table["attribute"] == "gender")]
        counts.append(table.pivot(index="subject", columns="value", values="count").to_numpy())
    wanted = paired_difference(*counts)
    assert found["value"] == pytest.approx(wanted.value)
    assert found["p"] == wanted.p
    assert found["value"] < 0  # the second is fairer


def test_holm_is_over_all_differences(finished_run, tmp_path):
    second = other(finished_run, tmp_path / "fair", fair)
    third = other(finished_run, tmp_path / "copy")
    found = compare_runs([finished_run, second, third])["differences"]
    assert len(found) == 3 * 2 * 4  # pairs of runs, sides, splits
    p, adjusted = (np.array([of[key] for of in found]) for key in ("p", "p_holm"))
    assert (adjusted >= p).all()
    assert adjusted[p.argmin()] == pytest.approx(min(1.0, len(p) * p.min()))


@pytest.mark.parametrize("sides", [("base", "moesd"), ("moesd",)])
def test_subjects_that_a_run_lacks_on_a_side_are_left_out_and_named(finished_run, tmp_path, sides):
    def without(table):
        return table[~table["side"].isin(sides) | (table["subject"] != "nurse")]

    found = compare_runs([other(finished_run, tmp_path / "less", without), finished_run])
    assert found["missing"] == {"less": ["nurse"], "run": []}
    assert found["n_subjects"] == 5
    assert {of["n"] for of in found["differences"] if of["split"] == "all"} == {5}
    assert "left out, because less does not have them: nurse" in runs_table(found)


def test_runs_of_one_name_are_told_apart(finished_run, tmp_path):
    first, second = (other(finished_run, tmp_path / name / "run") for name in "ab")
    names = [of["name"] for of in compare_runs([first, second])["runs"]]
    assert names == [first.as_posix(), second.as_posix()]


def test_runs_that_cannot_be_compared_are_refused(finished_run, tmp_path):
    with pytest.raises(ValueError, match="got 1 runs; needed at least 2"):
        compare_runs([finished_run])
    with pytest.raises(ArtifactError, match=r"quality.json"):
        compare_runs([finished_run, tmp_path])
    few = other(finished_run, tmp_path / "few", lambda of: of[of["subject"] == "nurse"])
    with pytest.raises(DataError, match="share 1 subjects"):
        compare_runs([finished_run, few])
    boys = other(finished_run, tmp_path / "boys", lambda of: of.replace({"value": {"man": "boy"}}))
    with pytest.raises(DataError, match="the attribute as boy, woman; man, woman; needed the same"):
        compare_runs([finished_run, boys])
    age = other(finished_run, tmp_path / "age")
    quality, made = read_json(age / "evaluation/quality.json", kind="quality")
    write_json(age / "evaluation/quality.json", {**quality, "attribute": "age"}, made)
    with pytest.raises(DataError, match="needed one attribute"):
        compare_runs([finished_run, age])


def test_the_command_prints_json(finished_run, tmp_path, done):
    second = other(finished_run, tmp_path / "fair", fair)
    found = json.loads(done("compare", "runs", finished_run, second, "--json"))
    assert found == compare_runs([finished_run, second])
