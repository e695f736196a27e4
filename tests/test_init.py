"""The public names: used in the documentation, and imported only when they are needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import probe

ROOT = Path(__file__).parent.parent
HEAVY = ("numpy", "pandas", "torch", "transformers", "diffusers", "sklearn", "scipy", "matplotlib")


def test_importing_probe_imports_nothing_heavy():
    script = f"import sys, probe; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nosuch"):
        probe.nosuch  # noqa: B018


@pytest.mark.parametrize("name", probe.__all__)
def test_every_public_name_exists_and_is_used_in_the_documentation(name):
    assert getattr(probe, name) is not None
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "analysis_notebooks").glob("*.ipynb"),
    ]
    assert any(re.search(rf"\b{name}\b", page.read_text(encoding="utf-8")) for page in pages)
