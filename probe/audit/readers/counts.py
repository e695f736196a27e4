"""Files of counts: images by subject and value, in any of the three forms they come in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probe.audit.readers.labels import (
    SUFFIXES,
    check_values,
    read_rows,
    subject_column,
    subject_name,
)
from probe.audit.tables import CountTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import missing_reason
from probe.io.lines import nearest, read_lines

MAX_COUNT = 10**9
"""Larger counts are refused: nobody made so many images of a subject, and they overflow."""

Cell = tuple[str, str, str, int]
"""Where a count stands, and its subject, value and number of images."""

_COUNTS = ("count", "counts", "n", "n_images", "images", "number")
_PAIR = re.compile(r"\s*([^:,]+?)\s*:\s*([^,]*?)\s*(?:,|$)")


def read_counts(
    path: str | Path, *, attribute: str = "value", values: Sequence[str] | None = None
) -> CountTable:
    """Read counts by subject and value from a table, or from Fair-Diffusion's ``.txt``.

    Three forms: *long*, columns ``subject``, ``value`` (or any other name) and ``count``; *wide*,
    ``subject`` and a column a value; and, as ``.txt``, that of Fair-Diffusion's results: a line
    with the subject, then one with ``man: 166, woman: 84, except: 0``. Values that mean that
    nothing was seen ("except", "undetected", "ambiguous", ...) are kept apart. Where ``values``
    are named, these are all of them, in this order; any other is refused.
    """
    path = Path(path)
    check_values(values)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        cells = list(_alternating(path))
    elif suffix in SUFFIXES:
        attribute, cells = _table(path, attribute)
    else:
        needed = ", ".join((*SUFFIXES, ".txt"))
        raise OptionError(f"{path.name} is no file of counts; needed one of {needed}")
    return _gather(path, attribute, cells, values)


def _table(path: Path, attribute: str) -> tuple[str, list[Cell]]:
    columns, rows = read_rows(path)
    subject = subject_column(path, columns)
    named = [i for i, name in enumerate(columns) if name.lower() in _COUNTS]
    others = [i for i in range(len(columns)) if i != subject and i not in named]
    cells: list[Cell] = []
    if len(named) == 1 and len(others) == 1:
        [value], [count] = others, named
        for place, row in rows:
            name = subject_name(path, place, row[subject])
            cell = str(row[value] or "").strip(), _whole(path, place, row[count])
            cells.append((place, name, *cell))
        return (attribute if columns[value] == "value" else columns[value]), cells
    for place, row in rows:
        name = subject_name(path, place, row[subject])
        for i, value_name in enumerate(columns):
            if i != subject:
                cells.append((place, name, value_name, _whole(path, place, row[i])))
    return attribute, cells


def _alternating(path: Path) -> Iterator[Cell]:
    subject = ""
    for number, text in read_lines(path):
        place, line = f"line {number}", text.strip()
        if not line:
            continue
        if not subject:
            subject = line
            continue
        pairs = _PAIR.findall(line)
        if not pairs or _PAIR.sub("", line).strip():
            raise DataError(
                f"{path}, {place}, is {line[:60]!r}; needed counts as in 'man: 166, woman: 84' "
                f"under the subject {subject!r}"
            )
        for value, count in pairs:
            yield place, subject, value, _whole(path, place, count)
        subject = ""
    if subject:
        raise DataError(f"{path} ends with the subject {subject!r} and no counts; add them")


def _gather(
    path: Path, attribute: str, cells: list[Cell], values: Sequence[str] | None
) -> CountTable:
    if not cells:
        raise DataError(f"{path} holds no counts; needed at least one subject")
    subjects = {name: row for row, name in enumerate(dict.fromkeys(cell[1] for cell in cells))}
    known = list(values or ())
    counts: dict[str, Any] = {value: np.zeros(len(subjects), dtype=np.int64) for value in known}
    missing: dict[str, Any] = {}
    filled: set[tuple[str, str]] = set()
    for place, subject, value, count in cells:
        if (subject, value) in filled:
            raise DataError(
                f"{path}, {place}, counts {value!r} of {subject!r} a second time; add the two up, "
                "or delete one"
            )
        filled.add((subject, value))
        reason = None if value in counts else missing_reason(value)
        if values is not None and value not in counts and reason is None:
            raise DataError(
                f"{path}, {place}, counts {value!r}{nearest(value, known)}; needed only "
                f"{', '.join(known)}"
            )
        table, name = (counts, value) if reason is None else (missing, reason)
        table.setdefault(name, np.zeros(len(subjects), dtype=np.int64))
        table[name][subjects[subject]] += count
    return CountTable(
        source=path.name,
        attribute=attribute,
        subjects=list(subjects),
        values=list(counts),
        counts=np.stack(list(counts.values()), axis=1) if counts else np.zeros((0, 0), dtype=int),
        missing={reason: found for reason, found in missing.items() if found.any()},
    )


def _whole(path: Path, place: str, value: object) -> int:
    try:
        number = float(str(value))
        if "_" in str(value):  # Python takes 1_000 for a number; who writes it may mean anything
            raise ValueError
        if 0 <= number <= MAX_COUNT and number.is_integer():
            return int(number)
    except ValueError:
        pass
    shown = str(value)[:40]
    raise DataError(
        f"{path}, {place}, has the count {shown!r}; needed a whole number of images, from 0 to "
        f"{MAX_COUNT:,}"
    )
