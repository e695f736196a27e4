"""Text that others wrote: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import pytest

from probe.audit.release_gate import read_policy
from probe.errors import ArtifactError, DataError
from probe.io.parsing import parse_json, parse_toml
from probe.run.config import Config
from probe.text.concepts import Concept
from probe.text.lexicon import Lexicon
from probe.text.prompt_files import read_prompts

DEEP = "[" * 100_000


def test_what_is_well_written_is_read():
    assert parse_json('{"a": [1, "b"]}') == {"a": [1, "b"]}
    assert parse_toml("a = [1, 2]") == {"a": [1, 2]}


@pytest.mark.parametrize(("parse", "text"), [(parse_json, DEEP), (parse_toml, f"a = {DEEP}")])
def test_brackets_that_open_and_open_are_an_error_like_any_other(parse, text):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse(text)


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (Lexicon.load, DataError),
        (Concept.load, DataError),
        (read_policy, DataError),
        (lambda path: Config.read(path.parent), ArtifactError),
    ],
)
def test_such_files_are_refused_by_name(tmp_path, read, error):
    path = tmp_path / "config.toml"
    path.write_text(f"a = {DEEP}")
    with pytest.raises(error, match=r"config.toml is not TOML .*nested too deeply"):
        read(path)


def test_such_a_line_is_refused_by_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"prompt": "a nurse"}}\n{DEEP}\n')
    with pytest.raises(DataError, match=r"line 2, is not JSON .*nested too deeply"):
        read_prompts(path)
