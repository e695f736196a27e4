"""Every value of a TOML file is found on the line where it is written."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.text.concepts.toml_lines import toml_lines

keys = st.sampled_from(["a", "b-1", '"c d"', '"e.f"', "'g\"h'", '"[i]"', '"é"', '""'])
tricky = st.text("ab \"'[]{}=#,.\\\n", max_size=6)
scalars = st.one_of(
    st.integers(-9, 9).map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.just("1979-05-27T07:32:00Z"),
    tricky.map(lambda text: json.dumps(text)),
    tricky.filter(lambda text: not set(text) & set("'\n")).map(lambda text: f"'{text}'"),
    tricky.map(lambda t: '"""' + t.replace("\\", "\\\\").replace('"', '\\"') + '"""'),
    tricky.map(lambda t: "'''\n" + t.replace("'", "") + "'''"),
)
breaks = st.sampled_from([", ", ",\n  ", ", # ], }\n", "\n,\n"])


@st.composite
def values(draw, depth=2):
    kind = draw(st.sampled_from(["scalar", "list", "table"])) if depth else "scalar"
    if kind == "scalar":
        return draw(scalars)
    parts = draw(st.lists(values(depth=depth - 1), max_size=3))
    if kind == "list":
        return "[" + "".join(part + draw(breaks) for part in parts) + "]"
    names = draw(st.lists(keys, min_size=len(parts), max_size=len(parts), unique=True))
    return "{" + ", ".join(f"{n} = {p}" for n, p in zip(names, parts, strict=True)) + "}"


@st.composite
def documents(draw):
    headers = st.sampled_from(["", "[x]", "[x.y]", '["p q"]', "[[z]]", "[[z.w]]", "[z.v]"])
    lines = []
    for header in draw(st.lists(headers, max_size=4)):
        lines += [draw(st.sampled_from(["", "# [no] = 'table'", "  "])), header]
        for key in draw(st.lists(keys, max_size=3, unique=True)):
            lines.append(f"{key} = {draw(values())}  # a comment")
    return "\n".join(lines)


def paths(value, path=()):
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield (*path, key), child
        if isinstance(child, dict | list):
            yield from paths(child, (*path, key))


@given(text=documents())
def test_everything_that_tomllib_reads_has_a_line(text):
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(tomllib.TOMLDecodeError):
            toml_lines(text)
        return
    lines, written = toml_lines(text), text.split("\n")
    for path, value in paths(data):
        assert path in lines, path
        if isinstance(value, bool | int) and isinstance(path[-1], int):
            assert str(value).lower() in written[lines[path] - 1]


@given(before=st.integers(0, 5), entries=st.lists(tricky, min_size=1, max_size=6))
def test_each_entry_of_a_list_is_on_its_own_line(before, entries):
    head = '# a "comment\n' * before + "list = [\n"
    text = head + "".join(f"  {json.dumps(entry)},\n" for entry in entries) + "]\nafter = 1\n"
    lines = toml_lines(text)
    first = before + 2
    assert [lines["list", i] for i in range(len(entries))] == list(
        range(first, first + len(entries))
    )
    assert lines["after",] == first + len(entries) + 1


def test_tables_keys_and_entries_are_where_they_are_written():
    text = 'a.b = 1\n\n[c]\nd = [\n  1, 2,\n  {e = """\n\n""", f = 3},\n]\n'
    text += "[[g]]\nh = 1\n[[g]]\nh = 2\n"
    assert toml_lines(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("c",): 3,
        ("c", "d"): 4,
        ("c", "d", 0): 5,
        ("c", "d", 1): 5,
        ("c", "d", 2): 6,
        ("c", "d", 2, "e"): 6,
        ("c", "d", 2, "f"): 8,
        ("g",): 12,
        ("g", 0): 10,
        ("g", 0, "h"): 11,
        ("g", 1): 12,
        ("g", 1, "h"): 13,
    }
