"""Files of labels: a row an image, a column an attribute, made by people or by any program."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from probe.audit.tables import LabelTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import MISSING, missing_reason
from probe.io.lines import nearest
from probe.io.records import Records, Row

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
SUBJECTS = ("subject", "subjects", "occupation", "profession", "job", "concept")
"""Names that the column of subjects usually has."""

MAX_VALUES = 20
"""A column of more values is taken for a description, not for an attribute."""

_SEEDS = ("seed", "seeds")
_OTHERS = ("prompt", "file_name", "file", "path", "image", "key", "kind", "side", "split", "count")


def read_labels(
    path: str | Path,
    *,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
) -> LabelTable:
    """Read labels from a ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file.

    One row an image. The column ``subject`` (or ``occupation``, ...) names what the image was
    to show, ``seed``, if there is one, the noise that it started from; of the others each is an
    attribute, but for those that describe the file or hold more than `MAX_VALUES` values. An
    empty field, "undetected" and "none" count as undetected, "ambiguous", "unclear" and "unknown"
    as ambiguous. Rows are read one by one, and a few bytes of each are kept, so a file may be
    larger than memory.

    Parameters
    ----------
    path : path
    attribute : str, optional
        Read this one only, whatever its column looks like.
    values : sequence of str, optional
        All values of the attribute, also those that never occur; any other label is refused.
        Needs ``attribute``, or a file that has only one.
    """
    path = Path(path)
    check_values(values)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{path.name} is no file of labels; needed one of {', '.join(SUFFIXES)}")
    head, rows = read_rows(path)
    subject = subject_column(path, head)
    chosen = _attribute_columns(path, head, subject, attribute)
    seed = next((i for i, name in enumerate(head) if name.lower() in _SEEDS), None)
    if values is not None and len(chosen) > 1:
        raise DataError(
            f"{path} has the attributes {', '.join(chosen)}; say with --attribute which one has "
            f"the values {', '.join(values)}"
        )
    subjects: dict[str, int] = {}
    of_rows, seeds = array("i"), list[str]()
    columns = {name: _Column(name, values, is_certain=attribute is not None) for name in chosen}
    for place, row in rows:
        name = subject_name(path, place, row[subject])
        of_rows.append(subjects.setdefault(name, len(subjects)))
        for column in list(columns.values()):
            if not column.add(_text(row[chosen[column.name]]), path, place):
                del columns[column.name]
        if seed is not None:
            seeds.append(_text(row[seed]))
    if not columns:
        raise DataError(
            f"{path}: every column holds more than {MAX_VALUES} values; name the attribute with "
            "--attribute"
        )
    ignored = [name for name in chosen if name not in columns]
    notes = [f"not taken for attributes, too many values: {', '.join(ignored)}"] if ignored else []
    return LabelTable(
        source=path.name,
        subjects=list(subjects),
        rows=np.frombuffer(of_rows, dtype=np.int32),
        values={name: list(column.known) for name, column in columns.items()},
        codes={
            name: np.frombuffer(column.codes, dtype=np.int32) for name, column in columns.items()
        },
        seeds=None if seed is None else seeds,
        notes=tuple(notes),
    )


def read_rows(path: Path) -> tuple[list[str], Iterator[Row]]:
    """Read the columns of a table, and its rows with their places but for empty lines."""
    records = Records.read(path)
    return records.columns, (
        (place, row) for place, row in records.rows if any(cell is not None for cell in row)
    )


def check_values(values: Sequence[str] | None) -> None:
    """Refuse values that are not named each once; None if they are to be found in the file."""
    if values is not None and (len(set(values)) < len(values) or not all(values)):
        raise OptionError(
            f"the values are {', '.join(map(repr, values))}; needed each once, as in woman,man"
        )


def subject_column(path: Path, columns: Sequence[str]) -> int:
    """Find the column of subjects, by its name; `DataError` if none or several have such one."""
    found = [i for i, name in enumerate(columns) if name.lower() in SUBJECTS]
    if len(found) != 1:
        named = ", ".join(columns[i] for i in found) or "none of them"
        raise DataError(
            f"{path} has the columns {', '.join(columns)}, and {named} is called as subjects are; "
            "needed one column `subject`: rename it"
        )
    return found[0]


def subject_name(path: Path, place: str, value: object) -> str:
    """Name of a row's subject; `DataError` if it has none."""
    if not (name := _text(value)):
        raise DataError(f"{path}, {place}, names no subject; fill it in, or delete the row")
    return name


class _Column:
    """Number the values of an attribute; ``-1 - i`` is reason i for having none."""

    def __init__(self, name: str, values: Sequence[str] | None, *, is_certain: bool) -> None:
        self.name = name
        self.known = {value: code for code, value in enumerate(values or ())}
        self.codes = array("i")
        self._is_closed, self._is_certain = values is not None, is_certain

    def add(self, label: str, path: Path, place: str) -> bool:
        """Keep a label; False if the column has proved to be no attribute."""
        code = self.known.get(label)
        if code is None and (reason := missing_reason(label)) is not None:
            code = -1 - MISSING.index(reason)
        if code is None:
            if self._is_closed:
                raise DataError(
                    f"{path}, {place}: {self.name} is {label!r}{nearest(label, self.known)}; "
                    f"needed one of {', '.join(self.known)}, or nothing if none is seen"
                )
            if len(self.known) >= MAX_VALUES and not self._is_certain:
                return False
            code = self.known.setdefault(label, len(self.known))
        self.codes.append(code)
        return True


def _attribute_columns(
    path: Path, columns: Sequence[str], subject: int, wanted: str | None
) -> Mapping[str, int]:
    if wanted is not None:
        if wanted not in columns:
            raise DataError(
                f"{path} has no column {wanted!r}{nearest(wanted, columns)}; its columns are "
                f"{', '.join(columns)}"
            )
        return {wanted: columns.index(wanted)}
    found = {
        name: i
        for i, name in enumerate(columns)
        if i != subject
        and name.lower() not in (*_OTHERS, *_SEEDS)
        and not name.endswith(("_confidence", "score"))
    }
    if not found:
        raise DataError(f"{path} has no column of labels besides {', '.join(columns)}; add one")
    return found


def _text(value: object) -> str:
    """What a field says: nothing for null and NaN, whole numbers without a point."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
