"""The benchmarks still fit the library: each can be imported and explains itself."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = ("association", "attach", "captions", "coverage", "demo", "embed", "generate", "quality")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SCRIPTS, "guidance_shift", "scale", "startup", "true_shape"])
def test_a_benchmark_can_be_started(name):
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
