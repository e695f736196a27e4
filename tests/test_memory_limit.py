"""A test that needs too much memory fails and is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_test_that_exceeds_the_memory_limit_is_named(tmp_path):
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path)
    (tmp_path / "test_memory.py").write_text("def test_of_a_large_process():\n    pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "PROBE_TEST_GIGABYTES": "0.01"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "test_memory.py::test_of_a_large_process needs a process of" in done.stdout
