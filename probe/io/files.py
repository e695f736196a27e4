"""Atomic files, locks on folders, hashes, and errors of reading and writing."""

import contextlib
import errno
import functools
import hashlib
import json
import math
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from probe.errors import ArtifactError, BusyError, DataError

Array = npt.NDArray[Any]

LARGEST = 128 * 2**20
"""Bytes of the largest file that is read as a whole."""
_PARTS = 8_000_000  # values of a JSON file; each takes up to 72 bytes in memory
REMAKE = "delete it and run the stage that writes it"

# Host, process id, random part, name of the file to be.
_TEMPORARY = re.compile(r"\.tmp-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}-.+")
_TICK = 0.1  # seconds; file systems write times in steps of up to 0.01
_ABANDONED = 24 * 3600.0  # seconds without a write that make an orphan of another host's file
_writing: set[str] = set()  # names of the temporary files that this process is writing
_locked: dict[Path, tuple[int, int] | None] = {}  # folders that this process has locked

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place if the block succeeds.

    The temporary file keeps the suffix, is flushed to the disk before it is renamed, and is
    removed when the block fails in any way; `remove_orphans` removes that of a killed process.

    Raises
    ------
    ArtifactError
        If the disk is full, the folder is read-only or was moved while this process has its lock,
        or ``path`` is a folder. An earlier file at ``path`` stays unchanged.
    """
    path = Path(path)
    for folder, identity in list(_locked.items()):
        if _identity(folder) != identity and path.absolute().is_relative_to(folder):
            raise ArtifactError(
                f"{folder} was moved while it was in use; move it back, or run the same command on "
                "its new name to resume"
            )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    name = f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(4)}-{path.name}"
    temporary = path.with_name(name)
    _writing.add(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # a read-only file system refuses this too
            temporary.unlink(missing_ok=True)
        _writing.discard(name)


def inside(folder: Path, name: str) -> Path:
    """Path of a file that another file names; `DataError` if it leads out of the folder."""
    with contextlib.suppress(OSError, ValueError):  # too long a name, a NUL byte
        root, path = os.path.realpath(folder), folder / name
        real = os.path.realpath(path)  # still a link if links go round in a circle
        if os.path.commonpath([root, real]) == root and not Path(real).is_symlink():
            return path
    raise DataError(
        f"{folder}/{name} lies outside of {folder}; copy it into the folder, or correct its name"
    )


def refuse_links(folder: Path, *, removes_orphans: bool = False) -> None:
    """Refuse a folder with a symbolic link out of it: a write there would write elsewhere.

    ``removes_orphans`` does in the same scan what `remove_orphans` does.
    """
    for entry in _entries(folder):
        if entry.is_symlink():
            inside(folder, os.path.relpath(entry.path, folder))
        elif removes_orphans:
            _remove_orphan(entry)


def remove_orphans(folder: Path | str) -> None:
    """Remove the temporary files that dead processes left in a folder and its subfolders.

    Temporary files of live processes stay. Whether a process of another host lives cannot be
    known here: its files are removed when they have not been written to for a day.
    """
    for entry in _entries(folder):
        _remove_orphan(entry)


@contextlib.contextmanager
def exclusive(folder: Path | str) -> Iterator[None]:
    """Lock a folder for this process, creating it if necessary.

    Raises
    ------
    BusyError
        At once, if another process, or another block of this one, has the lock.
    ArtifactError
        If the folder is a file or cannot be written to.
    """
    folder = Path(folder)
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise BusyError(
            f"{folder} is in use by another process; wait until it has ended, or use another folder"
        ) from error
    except FileExistsError as error:
        raise ArtifactError(f"{folder} is a file; needed a folder: choose another place") from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    _locked[folder.absolute()] = _identity(folder)
    try:
        yield
    finally:
        del _locked[folder.absolute()]
        lock.release()


@contextlib.contextmanager
def readable(path: Path, damage: type[Exception] = OSError) -> Iterator[None]:
    """Turn what a format raises on a missing or damaged file into `ArtifactError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist; run the stage that writes it") from error
    except (OSError, damage) as error:
        raise ArtifactError(f"{path} cannot be read ({one_line(error)}); {REMAKE}") from error


def hash_parts(*parts: str | bytes | Array) -> str:
    """Hash a sequence of parts to 16 hexadecimal digits.

    Type, shape and length of every part are hashed with it, so that ``("ab", "c")`` and
    ``("a", "bc")``, or an array and its transpose, differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            tag, content = f"{part.dtype.str}{part.shape}", part.tobytes()
        elif isinstance(part, str):
            tag, content = "str", part.encode("utf-8", "surrogatepass")
        else:
            tag, content = "bytes", part
        digest.update(f"{tag}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def hash_file(path: Path | str) -> str:
    """Hash the bytes of a file to 16 hexadecimal digits, once until it is written to again."""
    path = Path(path)
    with readable(path):
        of = path.stat()
        written = (of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns)
        # What was written just now may be written to again before the file system's clock ticks.
        is_old = time.time() - of.st_mtime > _TICK
        return (_hash_file if is_old else _hash_file.__wrapped__)(path, written)


def read_whole(path: Path, most: int = LARGEST) -> bytes:
    """Read a regular file of at most so many bytes; `OSError` says that it is none, or larger."""
    with open_regular(path) as file:
        if len(content := file.read(most + 1)) > most:
            raise OSError(f"it is larger than {most / 2**20:.0f} MiB")
    return content


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read; `OSError` if it is a pipe or a device, which may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no regular file")
    return path.open("rb")


def parse_json(content: bytes) -> Any:
    """Parse JSON; `ValueError` if it is none, huge, deep, or has NaN, infinity or a surrogate.

    Also if an object names a key twice; see `named_once`.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > _PARTS:
        raise ValueError(f"it has more than {_PARTS:,} values")
    try:
        value = json.loads(
            content.decode("utf-8-sig"),
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=named_once,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if b"\\ud" in content.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of its members; `ValueError` if two have one name: which is meant?"""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it names {twice[:60]!r} twice")
    return found


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder this is, whatever its name."""
    with contextlib.suppress(OSError):
        return (found := folder.stat()).st_dev, found.st_ino
    return None


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"it holds the number {text[:20]}")
    return number


def _unwritable(path: Path, error: OSError) -> ArtifactError:
    if error.errno in _FULL:
        advice = "free some space and run the same command again"
    elif error.errno in _FORBIDDEN:
        advice = "make its folder writable or choose another"
    else:
        advice = "choose another place"
    return ArtifactError(f"cannot write {path}: {one_line(error)}; {advice}")


@functools.lru_cache(10_000)
def _hash_file(path: Path, _: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """What is in a folder and its subfolders, without following links."""
    folders = [str(folder)]
    for each in folders:
        with contextlib.suppress(OSError), os.scandir(each) as found:  # removed by another process
            for entry in list(found):
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _remove_orphan(entry: os.DirEntry[str]) -> None:
    if entry.name.startswith(".tmp-") and _is_orphan(path := Path(entry.path)):
        path.unlink(missing_ok=True)


def _is_orphan(path: Path) -> bool:
    """Whether a path is a temporary file whose process no longer lives."""
    if (match := _TEMPORARY.fullmatch(path.name)) is None:
        return False
    host, pid = match[1], int(match[2])
    if host != _host():
        with contextlib.suppress(FileNotFoundError):  # its process has just renamed it
            return time.time() - path.stat().st_mtime > _ABANDONED
        return False
    if pid == os.getpid():  # process ids are reused, in containers often
        return path.name not in _writing
    return not _is_alive(pid)


@functools.cache
def _host() -> str:
    """Eight hexadecimal digits that stand for this machine."""
    return hash_parts(platform.node())[:8]


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # there, os.kill would end the process that it asks about
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def one_line(error: Exception) -> str:
    """The message of an error on one line, without its number and its full stop."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split()).rstrip(".")
