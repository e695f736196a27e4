"""A file of captions becomes counts, shares with intervals, and a table that is safe to open."""

from __future__ import annotations

import csv
import json

import pandas as pd
import pytest

from probe.errors import ArtifactError, DataError
from probe.text.captions.classification import audit_captions

CAPTIONS = ["A man and his dog.", "A woman.", "A man.", "Some people.", "A cow."]


@pytest.fixture
def written(tmp_path):
    """Write text to a file."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def listed(written):
    return written("a.txt", "\n".join(CAPTIONS) + "\n")


def test_every_caption_is_counted_once_in_its_category(listed):
    found = audit_captions(listed)
    assert found.counts == {
        "male": 2, "female": 1, "both": 0, "neutral_person": 1, "no_person": 1
    }  # fmt: skip
    assert len(found) == 5
    assert found.words["male"] == {"man": 2, "his": 1}


def test_a_repeated_caption_counts_each_time_and_an_empty_row_is_counted_apart(written):
    found = audit_captions(written("a.txt", "A man.\n\nA man.\n \nA man.\n"))
    assert (found.counts["male"], found.n_empty) == (3, 2)


def test_the_interval_of_a_share_is_exact(listed):
    # 2 of 5, as tables of Clopper and Pearson have it
    share = audit_captions(listed).share("male")
    assert share.value == 0.4
    assert (share.low, share.high) == pytest.approx((0.0527, 0.8534), abs=1e-4)
    nobody = audit_captions(listed).share("both")
    assert (nobody.value, nobody.low) == (0.0, 0.0)


def test_the_summary_shows_shares_words_and_what_was_passed_over(written):
    said = audit_captions(written("a.csv", "id,caption\n1,A man.\n2,A man made lake.\n")).summary()
    assert said.startswith("2 captions from column 'caption' of a.csv; 0 rows without a caption")
    assert "0.500 [0.013, 0.987]   man 1" in said
    assert "of a phrase about nobody" in said


def test_json_holds_what_the_summary_shows(listed):
    found = audit_captions(listed).to_json()
    assert found["n"] == 5
    male = found["categories"]["male"]
    assert male["n"] == 2
    assert male["share"].keys() == {"value", "low", "high"}
    assert male["words"] == {"man": 2, "his": 1}
    assert json.loads(json.dumps(found)) == found


def test_every_kind_of_file_gives_the_same_counts(tmp_path, listed):
    frame = pd.DataFrame({"id": range(5), "caption": CAPTIONS})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    expected = audit_captions(listed).counts
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        found = audit_captions(tmp_path / f"a.{suffix}")
        assert (found.counts, found.file.column) == (expected, "caption")


def test_the_table_says_of_each_caption_what_decided(tmp_path, listed):
    audit_captions(listed, out=tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["caption"] for row in rows] == CAPTIONS
    assert rows[0] == {
        "caption": CAPTIONS[0], "category": "male", "words": "man his", "passed_over": ""
    }  # fmt: skip


def test_counterfactuals_are_written_of_the_captions_that_say_a_gender(tmp_path, written):
    path = written("a.txt", "A man and his dog.\nSome people.\nA woman.\nA man and Santa.\n")
    found = audit_captions(path, counterfactuals=tmp_path / "counterfactuals.csv")
    with (tmp_path / "counterfactuals.csv").open(encoding="utf-8", newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("A man and his dog.", "male", "A woman and her dog.", "A person and their dog."),
        ("A woman.", "female", "A man.", "A person."),
        ("A man and Santa.", "male", "", ""),
    ]
    assert found.to_json()["counterfactual"] == {
        "n": 3,
        "n_without_swap": 1,
        "n_without_neutral": 1,
    }
    assert "counterfactual" not in audit_captions(path).to_json()


def test_a_formula_in_a_caption_is_text_in_the_table(tmp_path, written):
    formula = '=HYPERLINK("http://example.org","A man")'
    audit_captions(written("a.txt", formula + "\n"), out=tmp_path / "out.csv")
    cells = pd.read_csv(tmp_path / "out.csv")["caption"].tolist()
    assert cells == ["'" + formula]


def test_a_file_without_a_caption_is_refused_and_leaves_no_table(tmp_path, written):
    with pytest.raises(DataError, match="holds no caption; needed at least one"):
        audit_captions(written("a.txt", "\n \n"), out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_row_is_refused_by_its_line_and_leaves_no_table(tmp_path, written):
    path = written("a.jsonl", '{"caption": "A man."}\n{"caption": 3}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: a prompt is a int"):
        audit_captions(path, out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("name", "column", "said"),
    [
        ("a.xlsx", None, "is no file of captions; needed one that ends in .txt"),
        ("a.txt", "caption", "has no columns; leave it out"),
    ],
)
def test_a_file_of_another_kind_is_refused(written, name, column, said):
    with pytest.raises(ValueError, match=said):
        audit_captions(written(name, "A man.\n"), column=column)


def test_a_table_that_cannot_be_written_is_refused(tmp_path, listed):
    with pytest.raises(ValueError, match=r"needed a name that ends in \.csv"):
        audit_captions(listed, out=tmp_path / "out.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ArtifactError, match="choose another place"):
        audit_captions(listed, out=tmp_path / "folder.csv")
