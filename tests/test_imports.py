"""Imports cost nothing before they are needed; `make lint` checks that they run one way."""

import subprocess
import sys

import pytest


def heavy_after(code):
    heavy = ("torch", "transformers", "diffusers", "sklearn", "pandas", "matplotlib", "scipy")
    script = f"import sys\n{code}\nprint(*[name for name in {heavy} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()[-1].split()


def test_the_command_line_imports_nothing_heavy():
    assert heavy_after("import cli.main") == []


@pytest.mark.parametrize("command", ["", "run", "train"])
def test_help_imports_nothing_heavy(command):
    arguments = [command, "--help"] if command else ["--help"]
    code = f"from cli.main import main\nmain({arguments}, standalone_mode=False)"
    assert heavy_after(code) == []


def test_opening_a_run_imports_no_torch():
    assert "torch" not in heavy_after("import probe.run.experiment")
