"""Counts in the three forms that they come in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from probe.audit.deconvolution import audit_figures
from probe.audit.readers.counts import read_counts
from probe.errors import DataError, DegenerateDataError
from probe.stats.resampling import Resampling

FORMS = {
    "long.csv": "subject,gender,count\nnurse,man,3\nnurse,woman,7\ncook,man,5\ncook,except,2\n"
    "cook,woman,0\n",
    "wide.csv": "subject,man,woman,except\nnurse,3,7,0\ncook,5,0,2\n",
    "wide.tsv": "subject\tman\twoman\texcept\nnurse\t3\t7\t0\ncook\t5\t0\t2\n",
    "semicolons.csv": "\ufeffsubject;man;woman;except\nnurse;3;7;0\ncook;5;0;2\n",
    "results.txt": "nurse\nman: 3, woman: 7, except: 0\ncook\nman: 5, woman: 0, except: 2\n",
}


def counts(tmp_path, text, *, name="counts.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_counts(path, **options)


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


def test_counts_of_nothing_are_refused(tmp_path):
    with pytest.raises(DegenerateDataError, match="was seen in no image"):
        counts(tmp_path, "subject,man,woman\nnurse,0,0\n")
    with pytest.raises(DataError, match="holds no counts"):
        counts(tmp_path, "subject,man,woman\n")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("subject,man,woman\nnurse,1,2\nnurse,3,4\n", "a.csv", "'man' of 'nurse' a second time"),
        ("subject,v,count\nnurse,a,1\nnurse,a,1\n", "a.csv", "'a' of 'nurse' a second time"),
        ("nurse\ncook\nman: 1, woman: 2\n", "a.txt", "line 2, is 'cook'; needed counts as in"),
        ("nurse\nman: 1, woman\n", "a.txt", "needed counts as in"),
        ("nurse\nman: 1, woman: 2\ncook\n", "a.txt", "ends with the subject 'cook' and no counts"),
        ("nurse\nman: 1, woman: -2\n", "a.txt", "line 2, has the count '-2'"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path, text, name, message):
    with pytest.raises(DataError, match=message):
        counts(tmp_path, text, name=name)


def test_values_that_are_named_come_in_their_order_and_others_are_refused(tmp_path):
    table = counts(tmp_path, FORMS["wide.csv"], values=["woman", "man", "other"])
    np.testing.assert_array_equal(table.counts, [[7, 3, 0], [0, 5, 0]])
    with pytest.raises(DataError, match=r"'woman' \(did you mean 'women'\?\); needed one of man"):
        counts(tmp_path, FORMS["wide.csv"], values=["man", "women"])
