"""Folders of images that users bring: which files there are, and what each was to show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probe.audit.readers.labels import FILE_COLUMNS, SEEDS, SUBJECTS, read_frame
from probe.audit.readers.selection import Selection
from probe.errors import DataError
from probe.io.files import inside
from probe.stats.notation import counted

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
    prompts: list[str] | None = None
    """Prompt of each image, where it is known."""

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
    """Find the images of a folder (``docs/files.md``), in the order of its metadata or names.

    A file outside of the folder is refused, be it by a symbolic link or by its name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name one that holds images")
    selection = selection or Selection()
    path = find_table(folder)
    if path is None:
        selection.refuse_unknown(folder, ("subject",))
    found = _by_sub_folder(folder) if path is None else _described(folder, path, selection)
    if not len(found):
        raise DataError(
            f"{folder} holds no images; needed {' or '.join(METADATA)}, or a sub-folder for each "
            f"subject with files that end in {', '.join(SUFFIXES)}"
        )
    for row in range(len(found)):
        inside(folder, found.name(row))
    return found


def find_table(folder: Path) -> Path | None:
    """The table of a folder's images, if it has one."""
    return next((path for name in METADATA if (path := folder / name).is_file()), None)


def _described(folder: Path, path: Path, selection: Selection) -> ImageFolder:
    rows = read_frame(path)
    chosen = selection.select(path, rows)
    frame = chosen.rename(columns=str.lower)
    is_kept = np.ones(len(frame), dtype=bool)
    if "kind" in frame and (frame["kind"] != "").all():  # ours
        is_kept = (frame["kind"] == "neutral").to_numpy()
    kept, n_others = frame[is_kept], int((~is_kept).sum())
    seeds: list[str] = next((kept[name].tolist() for name in SEEDS if name in kept), [])
    names = _file_names(path, kept)
    of_files = kept.assign(file=names).drop_duplicates()["file"]
    if (again := of_files.duplicated()).any():
        raise DataError(
            f"{path}, {again.idxmax()}, names {of_files[again.idxmax()]} again, with other cells; "
            "keep one row, or choose rows with --where"
        )
    kinds = f"left out: {counted(n_others, 'images')} of other kinds than neutral"
    notes = [kinds] if n_others else []
    known = {folder / name for name in _file_names(path, rows.rename(columns=str.lower))}
    if others := [file for file in _image_files(folder) if file not in known]:
        which = ", ".join(file.relative_to(folder).as_posix() for file in others[:3])
        which += ", ..." if len(others) > 3 else ""
        n = counted(len(others), "images")
        notes.append(f"left out: {n} that {path.name} does not name ({which})")
    return ImageFolder(
        folder=folder,
        files=[folder / name for name in names],
        subjects=_filled(path, kept, SUBJECTS, "subject"),
        seeds=seeds if seeds and all(seeds) else None,
        notes=tuple(notes),
        groups=selection.groups(chosen[is_kept]) if selection.by else None,
        prompts=kept["prompt"].tolist() if "prompt" in kept else None,
    )


def _file_names(path: Path, frame: pd.DataFrame) -> list[str]:
    return [os.path.normpath(name) for name in _filled(path, frame, FILE_COLUMNS, "file")]


def _filled(path: Path, frame: pd.DataFrame, names: Sequence[str], what: str) -> list[str]:
    """The first filled cell of each row under one of some names."""
    found = []
    present = frame[[name for name in names if name in frame]].to_numpy()
    for place, cells in zip(frame.index, present, strict=True):
        if not (text := next(filter(None, cells), "")):
            raise DataError(
                f"{path}, {place}, names no {what}; needed a column or key `{names[0]}`"
                + (": what the image was to show" if what == "subject" else "")
            )
        if "\0" in text:
            raise DataError(f"{path}, {place}, names a file with a NUL byte; correct it")
        found.append(text)
    return found


def _by_sub_folder(folder: Path) -> ImageFolder:
    files, subjects = [], []
    for sub in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        found = _image_files(sub)
        files += found
        subjects += [sub.name] * len(found)
    return ImageFolder(folder, files, subjects, None)


def _image_files(folder: Path) -> list[Path]:
    """All image files; a link to a folder may lead anywhere, and is not followed."""
    files = []
    for above, folders, names in os.walk(folder):
        folders.sort()
        files += [Path(above) / name for name in sorted(names)]
    return [file for file in files if file.suffix.lower() in SUFFIXES]
