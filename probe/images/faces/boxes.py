"""Faces that any other detector has found: a file of boxes."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import DataError
from probe.images.faces.face import Face
from probe.io.lines import nearest
from probe.io.records import Records, separator_of

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
COLUMNS = ("file_name", "left", "top", "width", "height")
"""Columns that a file of boxes must have; ``score`` is read if it is there."""


class Boxes:
    """Boxes of faces, a row a face, by the picture's file.

    Parameters
    ----------
    path : path
        A table with the columns `COLUMNS`, in pixels of the upright picture. A row with a
        ``file_name`` alone says that a picture was looked at and shows no face.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, or a box is none; the message names the row.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.name = f"boxes of {self._path.name}"
        self._faces: dict[str, list[Face]] = {}
        records = Records.read(self._path, separator=separator_of(self._path))
        if missing := [name for name in COLUMNS if name not in records.columns]:
            raise DataError(
                f"{path} has the columns {', '.join(records.columns)} and lacks "
                f"{', '.join(missing)}; needed {', '.join(COLUMNS)}, and if you like score"
            )
        places = {name: place for place, name in enumerate(records.columns)}
        for where, row in records.rows:
            if all(cell is None for cell in row):
                continue
            file_name = str(row[places["file_name"]] or "").strip()
            if not file_name:
                raise DataError(f"{path}, {where}, names no file; fill it in, or delete the row")
            found = self._faces.setdefault(_plain(file_name), [])
            box = [row[places[name]] for name in COLUMNS[1:]]
            if not all(cell is None or not str(cell).strip() for cell in box):
                ends = [self._number(cell, where) for cell in box]
                if min(ends[2:]) <= 0:
                    raise DataError(f"{path}, {where}: the box has no size; correct the row")
                found.append(Face(*ends))

    def find(self, pictures: Sequence[Image], /, *, names: Sequence[str]) -> list[list[Face]]:
        """Look the faces of each picture up.

        Raises
        ------
        DataError
            If the file says nothing of a picture, or a box lies outside of it.
        """
        return [self._look_up(*of) for of in zip(pictures, names, strict=True)]

    def _look_up(self, picture: Image, name: str) -> list[Face]:
        known = self._faces.get(_plain(name))
        if known is None:
            raise DataError(
                f"{self._path} has no row for {name}{nearest(_plain(name), self._faces)}; add its "
                "boxes, or a row with its file_name alone if it shows no face"
            )
        for face in known:
            is_beside = face.left >= picture.width or face.top >= picture.height
            if is_beside or face.left + face.width <= 0 or face.top + face.height <= 0:
                raise DataError(
                    f"{self._path}: a box of {name} lies outside of the picture, which has "
                    f"{picture.width} x {picture.height} pixels; needed pixels of the upright "
                    "picture"
                )
        return known

    def _number(self, cell: object, where: str) -> float:
        try:
            number = float(str(cell))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise DataError(
                f"{self._path}, {where}, holds {cell!r} where a number of pixels was needed"
            )
        return number


def _plain(file_name: str) -> str:
    """A file's name within its folder, as every system writes it."""
    return posixpath.normpath(file_name.replace("\\", "/"))
