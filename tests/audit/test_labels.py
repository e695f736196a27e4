"""Labels that users bring are read as they are meant, and what is not clear is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probe.audit.readers.labels import read_labels
from probe.errors import DataError, DegenerateDataError


def labels(tmp_path, text, *, name="labels.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path, **options)


def test_labels_are_counted_by_subject_and_value(tmp_path):
    table = labels(tmp_path, "subject,gender\nnurse,woman\ncook,man\nnurse,man\nnurse,woman\n")
    counted = table.count("gender")
    assert (counted.subjects, counted.values) == (["nurse", "cook"], ["woman", "man"])
    np.testing.assert_array_equal(counted.counts, [[2, 1], [0, 1]])
    assert counted.missing == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\ufeffsubject,gender,seed\nnurse,woman,1\ncook,man,2\n", "bom.csv"),
        ("subject;gender;seed\nnurse;woman;1\ncook;man;2\n", "semicolons.csv"),
        ("subject;gender;seed\r\nnurse;woman;1\r\n\r\ncook;man;2\r\n", "windows.csv"),
        ('"subject","gender","seed"\n"nurse","woman","1"\n"cook","man","2"\n', "quotes.csv"),
        ("subject\tgender\tseed\nnurse\twoman\t1\ncook\tman\t2\n", "tabs.tsv"),
        ("occupation,gender,seed\nnurse, woman ,1\ncook,man,2\n", "other_name.csv"),
        ("seed,subject,gender\n1,nurse,woman\n2,cook,man\n", "order.csv"),
    ],
)
def test_every_dialect_says_the_same(tmp_path, text, name):
    table = labels(tmp_path, text, name=name)
    assert table.subjects == ["nurse", "cook"]
    assert table.values == {"gender": ["woman", "man"]}
    assert table.seeds == ["1", "2"]


def test_parquet_says_the_same(tmp_path):
    frame = pd.DataFrame({"subject": ["nurse", "cook"], "gender": ["woman", None], "seed": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_labels(tmp_path / "a.parquet", values=["woman", "man"])
    assert table.seeds == ["1", "2"]
    np.testing.assert_array_equal(table.count("gender").counts, [[1, 0], [0, 0]])


def test_pictures_without_a_value_are_counted_by_their_reason(tmp_path):
    rows = ["woman", "man", "", "no face", "Unclear", "unknown", "unreadable"]
    table = labels(tmp_path, "subject,gender\n" + "".join(f"nurse,{row}\n" for row in rows))
    counted = table.count("gender")
    assert {reason: n.tolist() for reason, n in counted.missing.items()} == {
        "undetected": [2],
        "ambiguous": [2],
        "unreadable": [1],
    }
    assert counted.counts.sum() + counted.n_missing.sum() == len(table) == len(rows)


def test_a_subject_of_which_nothing_was_seen_is_told_not_lost(tmp_path):
    table = labels(tmp_path, "subject,gender\nnurse,woman\nnurse,man\nghost,\nghost,\n")
    counted = table.count("gender").with_images()
    assert counted.subjects == ["nurse"]
    assert "left out" in counted.notes[0]
    assert "ghost" in counted.notes[0]


def test_a_value_that_is_named_counts_even_if_it_never_occurs(tmp_path):
    text = "subject,gender\nnurse,woman\nnurse,woman\n"
    with pytest.raises(DegenerateDataError, match=r"single value.*name all of them with --values"):
        labels(tmp_path, text).count("gender")
    counted = labels(tmp_path, text, values=["woman", "man"]).count("gender")
    np.testing.assert_array_equal(counted.counts, [[2, 0]])


@pytest.mark.parametrize("values", [["man", "man"], ["man", ""]])
def test_values_are_named_each_once(tmp_path, values):
    with pytest.raises(ValueError, match="needed each once, as in woman,man"):
        labels(tmp_path, "subject,gender\nnurse,man\n", values=values)


def test_a_value_that_was_not_named_is_refused_with_its_line(tmp_path):
    text = "subject,gender\nnurse,woman\nnurse,womn\n"
    message = r"line 3: gender is 'womn' \(did you mean 'woman'\?\); needed one of woman, man"
    with pytest.raises(DataError, match=message):
        labels(tmp_path, text, values=["woman", "man"])


def test_columns_that_describe_the_file_are_no_attributes(tmp_path):
    head = "file_name,prompt,subject,gender,gender_confidence,clip_score,skin\n"
    table = labels(tmp_path, head + "a.png,a nurse,nurse,woman,0.9,31.2,dark\n")
    assert list(table.values) == ["gender", "skin"]


def test_a_column_of_many_values_is_left_out_and_named(tmp_path):
    rows = "".join(f"nurse,{'woman' if i % 2 else 'man'},remark {i}\n" for i in range(30))
    table = labels(tmp_path, "subject,gender,remark\n" + rows)
    assert list(table.values) == ["gender"]
    assert table.notes == ("not taken for attributes, too many values: remark",)
    wanted = labels(tmp_path, "subject,gender,remark\n" + rows, attribute="remark")
    assert len(wanted.values["remark"]) == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"job title,gender\na,b\n", "needed one column `subject`"),
        (b"subject,job,gender\na,b,c\n", "subject, job is called as subjects are"),
        (b"subject,file_name\na,b\n", "no column of labels"),
        (b"subject,gender\n,woman\n", "line 2, names no subject"),
        (b"subject,gender\nnurse,woman,extra\n", "line 2, has 3 fields"),
        (b"subject,gender,gender\nnurse,a,b\n", "column 'gender' twice"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        labels(tmp_path, text)


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no column 'gendr' \(did you mean 'gender'\?\)"):
        labels(tmp_path, "subject,gender\nnurse,woman\n", attribute="gendr")
    with pytest.raises(ValueError, match=r"labels.xlsx is no file of labels"):
        labels(tmp_path, b"PK", name="labels.xlsx")
