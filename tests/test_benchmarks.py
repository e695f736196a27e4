"""The benchmarks still fit the library: each can be imported and explains itself."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = (
    *(
        "association",
        "attach",
        "attributes",
        "captions",
        "demo",
        "driver",
        "embed",
        "generate",
        "guidance_shift",
    ),
    *(
        "interval_coverage",
        "kill",
        "pairs",
        "quality",
        "scale",
        "skin_tone",
        "startup",
        "true_shape",
        "results/families",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_can_be_started(name):
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
