"""Folders of images that users bring: which files there are, and what each was to show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.audit.readers.labels import FILE_COLUMNS, SEEDS, SUBJECTS
from probe.audit.readers.selection import Selection
from probe.errors import DataError
from probe.io.records import Records, text_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
METADATA = ("metadata.jsonl", "metadata.csv", "labels.csv")
"""Tables of a folder's images, the first of which is read."""


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
    groups: list[str] | None = None
    """Name of each image's group, where there are several."""

    def __len__(self) -> int:
        return len(self.files)

    @property
    def source(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def name(self, row: int) -> str:
        """Path of an image's file in the folder."""
        return Path(os.path.relpath(self.files[row], self.folder)).as_posix()


def find_images(folder: str | Path, selection: Selection | None = None) -> ImageFolder:
    """Find the images of a folder, in the order of its metadata or of the names.

    Either it follows the imagefolder convention, with one of `METADATA` that gives each
    ``file_name`` its ``subject`` (and, if known, its ``seed``), or it holds a sub-folder for each
    subject, with its name. Of a folder that `probe.images.generation` made, only the images
    whose prompt says nothing of gender are taken. A file outside of the folder is refused, be it
    by a symbolic link or by its name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one that holds images")
    selection = selection or Selection()
    path = next((path for name in METADATA if (path := folder / name).is_file()), None)
    if path is None:
        selection.refuse_unknown(folder, ("subject",))
    found = _by_sub_folder(folder) if path is None else _described(folder, path, selection)
    if not len(found):
        raise DataError(
            f"{folder} holds no images; needed {' or '.join(METADATA)}, or a sub-folder for each "
            f"subject with files that end in {', '.join(SUFFIXES)}"
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


def _described(folder: Path, path: Path, selection: Selection) -> ImageFolder:
    table = Records.read(path)
    columns = [name.lower() for name in table.columns]
    rows = [
        (place, row)
        for place, row in selection.rows(path, table.columns, table.rows)
        if any(cell is not None for cell in row)
    ]
    kinds = [row[columns.index("kind")] for _, row in rows] if "kind" in columns else []
    kept = rows
    if rows and len(kinds) == len(rows) and all(kind is not None for kind in kinds):  # ours
        kept = [row for row, kind in zip(rows, kinds, strict=True) if kind == "neutral"]
    notes = [f"left out: {len(rows) - len(kept)} images of other kinds than neutral"]
    files = [_cell(path, place, columns, row, FILE_COLUMNS) for place, row in kept]
    seed = next((columns.index(name) for name in SEEDS if name in columns), None)
    seeds = [text_of(row[seed]) for _, row in kept] if seed is not None else []
    return ImageFolder(
        folder=folder,
        files=[folder / name for name in files],
        subjects=[_cell(path, place, columns, row, SUBJECTS) for place, row in kept],
        seeds=seeds if seeds and all(seeds) else None,
        notes=tuple(notes) if len(kept) < len(rows) else (),
        groups=[selection.group(table.columns, row) for _, row in kept] if selection.by else None,
    )


def _cell(
    path: Path, place: str, columns: Sequence[str], row: Sequence[Any], names: Sequence[str]
) -> str:
    """The first filled cell of a row under one of some names."""
    for name in names:
        if name in columns and isinstance(text := row[columns.index(name)], str) and text.strip():
            if "\0" in text:
                raise DataError(f"{path}, {place}, names a file with a NUL byte; correct it")
            return text.strip()
    what = "subject" if "subject" in names else "file"
    raise DataError(
        f"{path}, {place}, names no {what}; needed a column or key `{names[0]}`"
        + (": what the image was to show" if what == "subject" else "")
    )


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
