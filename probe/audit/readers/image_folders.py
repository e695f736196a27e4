"""Folders of images that users bring: which files there are, and what each was to show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.audit.readers.labels import SUBJECTS
from probe.errors import DataError
from probe.io.lines import read_json_lines

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
METADATA = "metadata.jsonl"


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images of a folder, one a row; none has been opened yet."""

    folder: Path
    files: list[Path]
    subjects: list[str]
    """What each image was to show."""
    seeds: list[str] | None
    """Noise that each started from, where it is known."""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def source(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def name(self, row: int) -> str:
        """Path of an image's file in the folder."""
        return Path(os.path.relpath(self.files[row], self.folder)).as_posix()


def find_images(folder: str | Path) -> ImageFolder:
    """Find the images of a folder, in the order of its metadata or of the names.

    Either it follows the imagefolder convention, with a ``metadata.jsonl`` that gives each
    ``file_name`` its ``subject`` (and, if known, its ``seed``), or it holds a sub-folder for each
    subject, with its name. Of a folder that `probe.images.generation` made, only the images
    whose prompt says nothing of gender are taken. A file outside of the folder is refused, be it
    by a symbolic link or by its name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one that holds images")
    path = folder / METADATA
    found = _described(folder, path) if path.is_file() else _by_sub_folder(folder)
    if not len(found):
        raise DataError(
            f"{folder} holds no images; needed a {METADATA}, or a sub-folder for each subject "
            f"with files that end in {', '.join(SUFFIXES)}"
        )
    root = folder.resolve()
    for file in found.files:
        if not _is_inside(file, root):
            raise DataError(
                f"{file} lies outside of {folder}; copy it into the folder, or take it out of the "
                "list"
            )
    return found


def _is_inside(file: Path, root: Path) -> bool:
    try:
        return file.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links that go round in circles lead nowhere
        return False


def _described(folder: Path, path: Path) -> ImageFolder:
    rows = [_row(path, number, row) for number, row in read_json_lines(path) if row is not None]
    is_ours = all("kind" in row for row in rows)
    kept = [row for row in rows if row["kind"] == "neutral"] if is_ours else rows
    notes = [f"left out: {len(rows) - len(kept)} images of other kinds than neutral"]
    has_seeds = bool(kept) and all(row.get("seed") is not None for row in kept)
    return ImageFolder(
        folder=folder,
        files=[folder / row["file_name"] for row in kept],
        subjects=[row["subject"] for row in kept],
        seeds=[str(row["seed"]) for row in kept] if has_seeds else None,
        notes=tuple(notes) if len(kept) < len(rows) else (),
    )


def _row(path: Path, number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise DataError(f"{path}, line {number}, names no file; needed a key `file_name`")
    if "\0" in row["file_name"]:
        raise DataError(f"{path}, line {number}, names a file with a NUL byte; correct it")
    name = next((name for name in SUBJECTS if isinstance(row.get(name), str)), None)
    if name is None or not row[name].strip():
        raise DataError(
            f"{path}, line {number}, names no subject; needed a key `subject`: what the image "
            "was to show"
        )
    return {**row, "subject": row[name].strip()}


def _by_sub_folder(folder: Path) -> ImageFolder:
    files, subjects = [], []
    for sub in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        # a link to a folder is not followed: it may lead anywhere, and round in circles
        for above, folders, names in os.walk(sub):
            folders.sort()
            found = [name for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES]
            files += [Path(above) / name for name in found]
            subjects += [sub.name] * len(found)
    return ImageFolder(folder, files, subjects, None)
