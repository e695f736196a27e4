"""Temporary files of live and dead processes, and texts that other programs open."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probe.errors import ArtifactError
from probe.io.escaping import harmless
from probe.io.files import atomic, exclusive, remove_orphans

DAY = 24 * 3600


def leave_behind(folder: Path, *, pid: int, host: str = "", age: float = 0) -> Path:
    """Leave a temporary file of a process, last written ``age`` seconds ago."""
    with atomic(folder / "kept.json") as temporary:
        name = temporary.name.replace(f"-{os.getpid()}-", f"-{pid}-")
        temporary.write_text("{}")
    own_host = name.split("-")[1]
    path = folder / name.replace(own_host, host or own_host)
    path.write_text("half")
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def live_pid():
    """The process id of another process that is running."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


@pytest.fixture
def dead_pid():
    """The process id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("host", "age", "stays"),
    [
        ("", 0, False),
        ("", -2 * DAY, False),  # the clock has been set back
        ("0badcafe", -2 * DAY, True),
        ("0badcafe", DAY / 2, True),
        ("0badcafe", 2 * DAY, False),
    ],
)
def test_temporary_files_of_a_dead_process_are_removed_and_those_of_another_host_after_a_day(
    tmp_path, dead_pid, host, age, stays
):
    path = leave_behind(tmp_path / "images", pid=dead_pid, host=host, age=age)
    remove_orphans(tmp_path)
    assert path.exists() is stays


def test_temporary_files_of_a_live_process_stay_however_old_they_are(tmp_path, live_pid):
    other = leave_behind(tmp_path / "images", pid=live_pid, age=9 * DAY)
    remove_orphans(tmp_path)
    assert other.exists()


def test_a_file_that_this_process_is_writing_stays(tmp_path):
    with atomic(tmp_path / "kept.json") as temporary:
        temporary.write_text("{}")
        remove_orphans(tmp_path)
    assert (tmp_path / "kept.json").read_text() == "{}"


def test_a_reused_process_id_does_not_protect_an_orphan(tmp_path):
    orphan = leave_behind(tmp_path, pid=os.getpid())
    remove_orphans(tmp_path)
    assert not orphan.exists()


def test_a_file_that_merely_begins_like_a_temporary_one_stays(tmp_path):
    path = tmp_path / ".tmp-of-the-user"
    path.write_text("")
    remove_orphans(tmp_path)
    assert path.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])  # as NFS without locks has
def test_a_file_system_without_locks_is_refused_in_one_line(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(ArtifactError, match=f"{os.strerror(number)}; choose another place"):
        exclusive(tmp_path).__enter__()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@sum", "\tx", "\rx", "  =cmd|' /C calc'!A0"])
def test_only_a_text_that_a_spreadsheet_would_run_is_marked_as_text(text):
    assert harmless(text) == f"'{text}"
    for other in ("", "nurse", "a=b", "mother-in-law", "'quoted", "ñ"):
        assert harmless(other) == other
