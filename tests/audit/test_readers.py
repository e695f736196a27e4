"""Files of labels, counts and targets are read as they are meant, or refused."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

from probe.audit.deconvolution import audit_figures
from probe.audit.readers.counts import read_counts
from probe.audit.readers.labels import read_labels
from probe.audit.readers.shares import parse_target
from probe.errors import DataError, DegenerateDataError, ProbeError
from probe.stats.resampling import Resampling


def labels(tmp_path, text, *, name="labels.csv", read=read_labels, **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **options)


counts = partial(labels, name="counts.csv", read=read_counts)
CSV, TXT = {"read": read_counts}, {"name": "a.txt", "read": read_counts}


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


def test_parquet_says_the_same_and_its_images_are_not_read(tmp_path):
    frame = pd.DataFrame({"subject": ["nurse", "cook"], "gender": ["woman", None], "seed": [1, 2]})
    frame = frame.assign(image=[{"bytes": b"1", "path": "1.png"}] * 2, raw=[b"1", b"2"])
    frame["gender"] = frame["gender"].astype("category")
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_labels(tmp_path / "a.parquet", values=["woman", "man"])
    assert (list(table.values), table.seeds) == (["gender"], ["1", "2"])
    np.testing.assert_array_equal(table.count("gender").counts, [[1, 0], [0, 0]])


def test_pictures_without_a_value_are_counted_by_their_reason(tmp_path):
    rows = ["woman", "man", "", "no face", "Not visible", "Unclear", "unknown", "unreadable"]
    table = labels(tmp_path, "subject,gender\n" + "".join(f"nurse,{row}\n" for row in rows))
    counted = table.count("gender")
    assert {reason: n.tolist() for reason, n in counted.missing.items()} == {
        "undetected": [3],
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
    ("text", "options", "message"),
    [
        (b"subject,gender\na,b\n", {"values": ["b", "b"]}, "needed each once, as in woman,man"),
        (b"subject,gender\na,b\n", {"values": ["b", ""]}, "needed each once, as in woman,man"),
        (
            *(b"subject,gender\nnurse,woman\nnurse,womn\n", {"values": ["woman", "man"]}),
            r"line 3: gender is 'womn' \(did you mean 'woman'\?\); needed one of woman, man",
        ),
        (b"subject,gender\na,b\n", {"attribute": "gendr"}, r"did you mean 'gender'\?"),
        (b"PK", {"name": "labels.xlsx"}, r"labels.xlsx is no file of labels"),
        (b"job title,gender\na,b\n", {}, "needed one column `subject`"),
        (b"subject,job,gender\na,b,c\n", {}, "subject, job is called as subjects are"),
        (b"subject,file_name\na,b\n", {}, "no column of labels"),
        (b"subject,gender\n,woman\n", {}, "line 2, names no subject"),
        (b"subject,gender\nnurse,woman,extra\n", {}, "line 2, has 3 fields"),
        (b"subject,gender,gender\nnurse,a,b\n", {}, "column 'gender' twice"),
        ("subject,man,woman\nnurse,0,0\n", CSV, "was seen in no image"),
        ("subject,man,woman\n", CSV, "holds no counts"),
        (
            "subject,man,woman\nnurse,1,2\nnurse,3,4\n",
            {"read": read_counts},
            "'man' of 'nurse' a second time",
        ),
        (
            "subject,v,count\nnurse,a,1\nnurse,a,1\n",
            {"read": read_counts},
            "'a' of 'nurse' a second time",
        ),
        ("nurse\ncook\nman: 1, woman: 2\n", TXT, "line 2, is 'cook'; needed counts as in"),
        ("nurse\nman: 1, woman\n", TXT, "needed counts as in"),
        ("nurse\nman: 1, woman: 2\ncook\n", TXT, "ends with the subject 'cook' and no counts"),
        ("nurse\nman: 1, woman: -2\n", TXT, "line 2, has the count '-2'"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path, text, options, message):
    with pytest.raises(ProbeError, match=message):
        labels(tmp_path, text, **options)


# Counts

FORMS = {
    "long.csv": "subject,gender,count\nnurse,man,3\nnurse,woman,7\ncook,man,5\ncook,except,2\n"
    "cook,woman,0\n",
    "wide.csv": "subject,man,woman,except\nnurse,3,7,0\ncook,5,0,2\n",
    "wide.tsv": "subject\tman\twoman\texcept\nnurse\t3\t7\t0\ncook\t5\t0\t2\n",
    "semicolons.csv": "\ufeffsubject;man;woman;except\nnurse;3;7;0\ncook;5;0;2\n",
    "results.txt": "nurse\nman: 3, woman: 7, except: 0\ncook\nman: 5, woman: 0, except: 2\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_says_the_same(tmp_path, name):
    table = counts(tmp_path, FORMS[name], name=name, attribute="gender")
    assert (table.subjects, table.values) == (["nurse", "cook"], ["man", "woman"])
    np.testing.assert_array_equal(table.counts, [[3, 7], [5, 0]])
    assert {reason: n.tolist() for reason, n in table.missing.items()} == {"undetected": [0, 2]}
    assert table.attribute == "gender"


@pytest.mark.parametrize(
    "count", ["-3", "2.5", "", "many", "nan", "inf", "1e400", "1e19", "1000000001", "1_000"]
)
def test_a_count_that_is_none_is_refused_with_its_line(tmp_path, count):
    with pytest.raises(DataError, match=f"line 3, has the count '{count}'; needed a whole number"):
        counts(tmp_path, f"subject,man,woman\nnurse,1,2\ncook,3,{count}\n")


def test_as_many_pictures_as_nobody_makes_are_counted_in_a_moment(tmp_path):
    table = counts(tmp_path, "subject,man,woman\nnurse,600000000,400000000\n")
    found = audit_figures(table.counts, resampling=Resampling(10))["mad"]
    assert found.value == pytest.approx(0.1)
    assert found.floor == pytest.approx(1 / math.sqrt(2 * math.pi * 1e9), rel=1e-6)


def test_values_that_are_named_come_in_their_order_and_others_are_refused(tmp_path):
    table = counts(tmp_path, FORMS["wide.csv"], values=["woman", "man", "other"])
    np.testing.assert_array_equal(table.counts, [[7, 3, 0], [0, 5, 0]])
    with pytest.raises(DataError, match=r"'woman' \(did you mean 'women'\?\); needed one of man"):
        counts(tmp_path, FORMS["wide.csv"], values=["man", "women"])


# Targets

SUBJECTS, VALUES = ["nurse", "cook"], ["woman", "man"]


def parse(text):
    return parse_target(str(text), subjects=SUBJECTS, values=VALUES)


def test_parity_is_no_target_and_a_distribution_is_arranged_as_the_values_are():
    assert parse("parity") is None
    np.testing.assert_array_equal(parse("man=0.7, woman=0.3"), [0.3, 0.7])
    with pytest.raises(ValueError, match="needed parity, a distribution"):
        parse("equal")


def test_a_table_is_arranged_as_the_counts_are(tmp_path):
    text = "subject;man;woman\ncook;0.6;0.4\nnurse;0.1;0.9\n"
    np.testing.assert_array_equal(labels(tmp_path, text, read=parse), [[0.9, 0.1], [0.4, 0.6]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("woman=0.3", "gives 'man' no share"),
        ("woman=0.3,man=0.8", "needed positive numbers that sum to 1"),
        ("woman=0,man=1", "needed positive numbers"),
        ("woman=0.9,woman=0.5,man=0.5", "gives 'woman' a share twice"),
        ("woman=much,man=0.5", "needed numbers"),
        ("woman=0.3,mann=0.7", r"value 'mann' \(did you mean 'man'\?\)"),
    ],
)
def test_a_distribution_that_is_none_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("cook,0.5,0.5\nnurse,0.5,0.5\nnurze,0.5,0.5\n", r"'nurze' \(did you mean 'nurse'\?\)"),
        ("cook,0.5,0.5\n", "no row for the subject 'nurse'"),
        ("cook,0.5,0.5\ncook,0.5,0.5\n", "'cook' a second time"),
        ("cook,0.5,0.5\nnurse,0.5,\n", "needed numbers"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        labels(tmp_path, "subject,woman,man\n" + rows, read=parse)
