"""Values of a TOML file come back as written, or are refused by their key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.audit.release_gate import read_policy
from probe.errors import ArtifactError, DataError
from probe.io.toml_tables import TomlTable
from probe.run.config import Config
from probe.text.concepts import Concept
from probe.text.lexicon import Lexicon
from probe.text.prompt_files import read_prompts

DATA = {
    "name": "x",
    "share": 0.5,
    "words": ["a", "b"],
    "shares": [0.25, 1],
    "flag": True,
    "below": {"share": 2},
    "entry": [{"name": "first", "share": 1}, {"share": 3}],
}


@pytest.fixture
def table():
    return TomlTable(DATA, "file.toml")


def test_values_are_read_by_their_keys(table):
    assert table.string("name") == "x"
    assert table.number("share", 0, 1) == 0.5
    assert table.strings("words") == ("a", "b")
    assert table.numbers("shares", 2) == [0.25, 1.0]
    assert [entry.data["share"] for entry in table.tables("entry")] == [1, 3]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda t: t.string("share"), "share is 0.5; needed a string that is not empty"),
        (lambda t: t.string("other"), "other is missing; needed a string"),
        (lambda t: t.number("flag"), "flag is True; needed a number"),
        (lambda t: t.numbers("shares", 3), r"shares is \[0.25, 1\]; needed a list of 3 numbers"),
        (
            lambda t: t.table("below").number("share", 0, 1),
            "below.share is 2; needed a number from",
        ),
        (lambda t: t.table("name"), "name is 'x'; needed a table"),
        (lambda t: next(t.tables("entry")).number("share", 2, 3), "entry 'first': share is 1"),
        (lambda t: [e.number("share", 0, 1) for e in t.tables("entry")], r"entry\[1\].share is 3"),
        (lambda t: t.refuse_unknown(("names",)), r"name is unknown \(did you mean 'names'\?\)"),
        (lambda t: t.distinct("words", ("a", "A")), "words has 'A' twice; needed each name once"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(table, read, message):
    with pytest.raises(DataError, match=rf"file\.toml: {message}.*; correct the file"):
        read(table)


@given(value=st.floats())
def test_a_number_is_within_its_bounds_or_refused(value):
    table = TomlTable({"x": value}, "file.toml")
    if 0 <= value <= 1:
        assert table.number("x", 0, 1) == value
    else:
        with pytest.raises(DataError, match="a number from 0 to 1"):
            table.number("x", 0, 1)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (Lexicon.load, DataError),
        (Concept.load, DataError),
        (read_policy, DataError),
        (lambda path: Config.read(path.parent), ArtifactError),
    ],
)
def test_deeply_nested_toml_is_refused_by_name(tmp_path, read, error):
    path = tmp_path / "config.toml"
    path.write_text(f"a = {DEEP}")
    with pytest.raises(error, match=r"config.toml is not TOML .*nested too deeply"):
        read(path)


def test_a_deeply_nested_line_is_refused_by_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"prompt": "a nurse"}}\n{DEEP}\n')
    with pytest.raises(DataError, match=r"line 2, is not JSON .*recursion"):
        read_prompts(path)
