"""While a file from a stranger is read, no process is started and nothing is written elsewhere."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_found: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _found is None:
        return
    if event in STARTS and arguments[0] != sys.executable:  # tests of commands start Python
        _found.append(f"{event} {arguments[0]}")
    elif event == "open" and isinstance(arguments[0], str) and int(arguments[2] or 0) & WRITES:
        _found.append(str(Path(arguments[0]).absolute()))


sys.addaudithook(_watch)  # for as long as the process lives


@pytest.fixture(autouse=True)
def nothing_else_happens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail a test in which a process starts or a file outside the temporary folder is written."""
    global _found
    _found = []
    yield
    found, _found = _found, None
    allowed = (str(tmp_path_factory.getbasetemp()), "/dev/", "/proc/self/", "/sys/.tmp")
    found = [of for of in found if "/.hypothesis/" not in of]
    assert [of for of in found if not of.startswith(allowed)] == []
