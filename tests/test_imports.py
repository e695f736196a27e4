"""The public names are used in the documentation, and imports cost nothing before they are needed.

`make lint` checks that imports run one way.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import probe

ROOT = Path(__file__).parent.parent
LIGHT = ("numpy",)
"""Allowed on the command line, but not in ``import probe``."""
HEAVY = (
    *("torch", "transformers", "diffusers", "sklearn", "scipy", "statsmodels", "pandas"),
    *("matplotlib", "inflect", "ray"),
)


def imported_by(code):
    names = (*LIGHT, *HEAVY)
    script = f"import sys\n{code}\nprint(*[name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_probe_imports_nothing_heavy():
    assert imported_by("import probe") == set()


def test_without_an_executor_nothing_of_ray_is_imported():
    code = "cli.main, probe.run.stages.embed, probe.io.executors, probe.audit.image_labels"
    assert "ray" not in imported_by(f"import {code}")


@pytest.mark.parametrize("command", ["", "run", "train", "study", "compare methods"])
def test_help_imports_nothing_heavy(command):
    arguments = [*command.split(), "--help"]
    code = f"from cli.main import main\nmain({arguments}, standalone_mode=False)"
    assert imported_by(code) <= set(LIGHT)


def test_opening_a_run_imports_no_torch():
    assert "torch" not in imported_by("import probe.run.experiment")


@pytest.mark.parametrize("name", probe.__all__)
def test_every_public_name_exists_and_is_used_in_the_documentation(name):
    assert getattr(probe, name) is not None
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "analysis_notebooks").glob("*.ipynb"),
    ]
    assert any(re.search(rf"\b{name}\b", page.read_text(encoding="utf-8")) for page in pages)
