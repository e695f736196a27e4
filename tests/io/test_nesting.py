"""Deeply nested text is refused like any other damaged text."""

from __future__ import annotations

import pytest

from probe.audit.release_gate import read_policy
from probe.errors import ArtifactError, DataError
from probe.run.config import Config
from probe.text.concepts import Concept
from probe.text.lexicon import Lexicon
from probe.text.prompt_files import read_prompts

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
    with pytest.raises(error, match=r"config.toml is not TOML .*recursion"):
        read(path)


def test_a_deeply_nested_line_is_refused_by_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"prompt": "a nurse"}}\n{DEEP}\n')
    with pytest.raises(DataError, match=r"line 2, is not JSON .*recursion"):
        read_prompts(path)
