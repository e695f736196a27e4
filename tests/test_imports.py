"""Imports run one way, and cost nothing before they are needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {
    "probe",
    "probe.ends",
    "probe.errors",
    "probe.files",
    "probe.artifacts",
    "probe.intervention",
    "probe.mapped",
    "probe.parsing",
    "probe.processes",
    "probe.settings",
}
ALLOWED = {  # room -> rooms that it may import besides the ground and itself
    "probe.text": set(),
    "probe.latent": {"probe.text"},
    "probe.moesd": {"probe.text", "probe.latent"},
    "probe.baselines": {"probe.text", "probe.latent"},
    "probe.images": {"probe.text"},
    "probe.experiment": {
        "probe.text",
        "probe.latent",
        "probe.moesd",
        "probe.baselines",
        "probe.images",
    },
    "probe.tinytown": {"probe.text", "probe.latent", "probe.images"},
    "figures": {"probe.text", "probe.latent", "probe.images", "probe.experiment"},
    "cli": {"figures", "probe.text", "probe.experiment", "probe.tinytown"},
}
OURS = ("probe", "figures", "cli")


def room_of(module):
    parts = module.split(".")
    return parts[0] if parts[0] in ("figures", "cli") else ".".join(parts[:2])


def modules():
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imported(path):
    """Every module that a file imports, also within functions and for types."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path):
    names = {name for name in imported(path) if name.split(".")[0] in OURS}
    known = {name for name, _ in modules()}
    return {room_of(name) for name in names if name in known} - GROUND


def test_the_rooms_are_all_there():
    found = {room_of(name) for name, _ in modules()} - GROUND
    assert found == set(ALLOWED)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*m, id=m[0]) for m in modules()])
def test_imports_run_one_way(name, path):
    room = room_of(name)
    if name == "probe":
        return  # names everything, but imports it only when it is asked for
    if room in GROUND:
        assert not rooms_imported(path)
    else:
        assert rooms_imported(path) <= ALLOWED[room] | {room}


def test_errors_know_nothing_and_files_know_only_errors():
    assert not [m for m in imported(ROOT / "probe/errors.py") if m.startswith("probe")]
    assert {m for m in imported(ROOT / "probe/files.py") if m.startswith("probe.")} >= {
        "probe.errors"
    }


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
    assert "torch" not in heavy_after("import probe.experiment.experiment")
