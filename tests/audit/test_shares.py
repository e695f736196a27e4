"""What is fair: parity, one distribution, a table; and what is none of them."""

from __future__ import annotations

import numpy as np
import pytest

from probe.audit.readers.shares import parse_target
from probe.errors import DataError

SUBJECTS, VALUES = ["nurse", "cook"], ["woman", "man"]


def parse(text):
    return parse_target(str(text), subjects=SUBJECTS, values=VALUES)


def table(tmp_path, text):
    path = tmp_path / "target.csv"
    path.write_text(text)
    return path


def test_parity_is_no_target_and_a_distribution_is_arranged_as_the_values_are():
    assert parse("parity") is None
    np.testing.assert_array_equal(parse("man=0.7, woman=0.3"), [0.3, 0.7])
    with pytest.raises(ValueError, match="needed parity, a distribution"):
        parse("equal")


def test_a_table_is_arranged_as_the_counts_are(tmp_path):
    path = table(tmp_path, "subject;man;woman\ncook;0.6;0.4\nnurse;0.1;0.9\n")
    np.testing.assert_array_equal(parse(path), [[0.9, 0.1], [0.4, 0.6]])


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
        parse(table(tmp_path, "subject,woman,man\n" + rows))
