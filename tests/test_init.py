"""The package names everything and imports almost nothing."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import probe

HEAVY = ("numpy", "pandas", "torch", "transformers", "diffusers", "sklearn", "scipy", "matplotlib")


def test_importing_probe_imports_nothing_heavy():
    script = f"import sys, probe; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'probe' has no attribute 'nosuch'"):
        probe.nosuch  # noqa: B018


def test_the_names_that_type_checkers_see_are_those_that_are_exported():
    tree = ast.parse(Path(probe.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == probe._HOME
    assert sorted({*typed, "__version__"}) == sorted(probe.__all__) == dir(probe)


@pytest.mark.parametrize("name", [name for name in probe.__all__ if name != "__version__"])
def test_every_name_is_there_and_documented(name):
    value = getattr(probe, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
