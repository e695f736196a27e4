"""Files of labels: a row an image, a column an attribute, made by people or by any program."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from probe.arrays import Mask
from probe.audit.readers.selection import Selection
from probe.audit.readers.values import (
    MAX_VALUES,
    check_spellings,
    note_missing,
    number_values,
)
from probe.audit.tables import LabelTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import MISSING
from probe.io.lines import nearest
from probe.io.records import Records, text_of
from probe.stats.notation import counted

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
SUBJECTS = ("subject", "subjects", "occupation", "profession", "job", "concept")
"""Names that the column of subjects usually has."""

SEEDS = ("seed", "seeds", "evaluation_seed")
LONGEST_NAME = 1000
"""Characters of a subject or a value."""
FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "image_path")
MAKERS = (
    *("model", "models", "setting", "settings", "condition", "method", "version", "revision"),
    *("guidance", "guidance_scale", "cfg", "steps", "scheduler", "sampler", "checkpoint", "lora"),
)
"""Columns that say what made an image: groups, and no attributes."""
_DESCRIBE = (
    *MAKERS,
    *("prompt", "negative_prompt", "template", "language", "source", "dataset", "kind", "side"),
    *("split", "run", "batch"),
)
_ASIDE = (
    *("rater", "annotator", "key", "count", "id", "image_id", "case_number", "index", "date"),
    *("url", "width", "height"),
)
"""Columns that are no attributes, and that do not make an image another one."""


def read_labels(
    path: str | Path,
    *,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
    selection: Selection | None = None,
) -> LabelTable:
    """Read labels, one row per image; ``docs/files.md`` says what each column means.

    Parameters
    ----------
    path : path
    attribute : str, optional
        Read these only, whatever their columns look like: a name, or several as ``gender,race``.
    values : sequence of str, optional
        All values of the attribute, also those that never occur; any other label is refused.
        Needs ``attribute``, or a file that has only one.
    selection : Selection, optional
        Rows to read, groups, and values to rename.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{path.name} is no file of labels; needed one of {', '.join(SUFFIXES)}")
    return gather(path, read_frame(path), attribute, values, selection or Selection())


def gather(
    path: Path,
    frame: pd.DataFrame,
    attribute: str | None,
    values: Sequence[str] | None,
    selection: Selection,
    *,
    count: str | None = None,
) -> LabelTable:
    """Gather rows of labels, or of counts with the number of images in a column ``count``."""
    check_values(values)
    head = list(frame.columns)
    subject = subject_column(path, head)
    chosen = _attribute_columns(path, head, subject, attribute, (*selection.by, count))
    if values is not None and len(chosen) > 1:
        raise DataError(
            f"{path} has the attributes {', '.join(chosen)}; say with --attribute which one has "
            f"the values {', '.join(values)}"
        )
    frame = selection.select(path, frame)
    check_subjects(path, frame[subject])
    numbered = {
        name: number_values(path, frame[name], values, selection.renamed) for name in chosen
    }
    if attribute is None and count is None and values is None:
        numbered = {name: of for name, of in numbered.items() if len(of[0]) <= MAX_VALUES}
    if not numbered:
        raise DataError(
            f"{path}: every column holds more than {MAX_VALUES} values; name the attribute with "
            "--attribute"
        )
    for name in (subject, *numbered):
        if (too_long := frame.index[frame[name].str.len() > LONGEST_NAME]).size:
            raise DataError(
                f"{path}, {too_long[0]}: {name} has {len(frame[name][too_long[0]]):,} characters; "
                f"needed at most {LONGEST_NAME:,}, a name"
            )
    known = {name: of for name, (of, _) in numbered.items()}
    of_known = [value for of in known.values() for value in of]
    unused = selection.find_unused(path, frame[[*known]], of_known)
    seed, file = (
        next((name for name in head if name.lower() in names), None)
        for names in (SEEDS, FILE_COLUMNS)
    )
    others = [name for name in head if name not in (*chosen, count)]
    used = (*selection.by, *selection.where)
    mixed = [
        name
        for name in others
        if name.lower() in MAKERS and name not in used and frame[name].nunique() > 1
    ]
    codes, subjects = pd.factorize(frame[subject])
    weights = None if count is None else frame[count].to_numpy(dtype=np.int64)
    table = LabelTable(
        source=path.name,
        subjects=list(subjects),
        rows=codes,
        values=known,
        codes={name: of for name, (_, of) in numbered.items()},
        seeds=None if seed is None else frame[seed].tolist(),
        weights=weights,
        groups=selection.groups(frame) if selection.by else None,
        files=None if file is None else [posixpath.normpath(name) for name in frame[file]],
        unused=unused,
    )
    for name, (of_column, of_rows) in numbered.items() if values is None else ():
        table = table.noted(*check_spellings(path, name, of_column, of_rows, weights))
    for name in known:
        table = table.noted(*note_missing(frame[name], selection.renamed, weights))
    table = table.noted(*_notes(chosen, known, is_named=attribute is not None, mixed=mixed))
    if count is not None:
        _refuse_counted_twice(path, table, frame.drop(columns=count), mixed)
        return table
    if file is None:
        return table
    identity = [
        name for name in others if name in (subject, file) or name.lower() in (*_DESCRIBE, *SEEDS)
    ]
    return _once(path, table, frame[identity], (frame[file] != "").to_numpy())


def _refuse_counted_twice(
    path: Path, table: LabelTable, frame: pd.DataFrame, mixed: Sequence[str]
) -> None:
    if mixed:
        raise DataError(
            f"{path} has rows of every {' and '.join(mixed)}; measure each with --by "
            f"{','.join(mixed)}, or choose one with --where {mixed[0]}=VALUE"
        )
    if (again := frame.duplicated().to_numpy()).any():
        row = int(again.argmax())
        labels = " ".join(
            repr((*table.values[name], *MISSING[::-1])[of[row]]) for name, of in table.codes.items()
        )
        raise DataError(
            f"{path} counts {labels} of {table.subjects[table.rows[row]]!r} a second time; add "
            "the two up, delete one, or measure each with --by and the name of a column"
        )


def _once(path: Path, table: LabelTable, images: pd.DataFrame, is_named: Mask) -> LabelTable:
    """Count each image once; ``images`` tells them apart where they are named."""
    again = images.duplicated().to_numpy() & is_named
    same = images.assign(**table.codes).duplicated().to_numpy() & is_named
    if (differ := again & ~same).any():
        row = int(differ.argmax())
        first = int((images == images.iloc[row]).all(axis=1).to_numpy().argmax())
        raise DataError(
            f"{path}: rows {first + 1} and {row + 1} give one image different labels; keep one, or "
            "choose rows with --where"
        )
    if not same.any():
        return table
    note = f"left out, as the image is named again: {counted(int(same.sum()), 'rows')}"
    return table.take(np.flatnonzero(~same)).noted(note)


def read_frame(path: Path) -> pd.DataFrame:
    """Read a table as text: a row a row but for empty lines, whose places are the index."""
    records = Records.read(path)
    rows = [
        (place, [text_of(cell) for cell in row])
        for place, row in records.rows
        if any(cell is not None for cell in row)
    ]
    cells, places = [row for _, row in rows], [place for place, _ in rows]
    frame = pd.DataFrame(cells, index=places, columns=records.columns, dtype=object)
    return frame.loc[:, ~frame.columns.duplicated()]


def check_values(values: Sequence[str] | None) -> None:
    """Refuse values that are not named each once; None if they are to be found in the file."""
    if values is not None and (len(set(values)) < len(values) or not all(values)):
        raise OptionError(
            f"the values are {', '.join(map(repr, values))}; needed each once, as in woman,man"
        )


def subject_column(path: Path, columns: Sequence[str]) -> str:
    """Find the column of subjects, by its name; `DataError` if none or several have such one."""
    found = [name for name in columns if name.lower() in SUBJECTS]
    if len(found) != 1:
        named = ", ".join(found) or "none of them"
        raise DataError(
            f"{path} has the columns {', '.join(columns)}, and {named} is called as subjects are; "
            "needed one column `subject`: rename it"
        )
    return found[0]


def check_subjects(path: Path, subjects: pd.Series) -> None:
    """Refuse a row without a subject."""
    if (unnamed := subjects[(subjects == "").to_numpy()].index).size:
        raise DataError(f"{path}, {unnamed[0]}, names no subject; fill it in, or delete the row")


def describes(name: str) -> bool:
    """Whether a column describes an image or its file, and not who is seen in it."""
    return name.lower() in (*_DESCRIBE, *_ASIDE, *SEEDS, *FILE_COLUMNS)


def _attribute_columns(
    path: Path,
    columns: Sequence[str],
    subject: str,
    wanted: str | None,
    not_these: Sequence[str | None],
) -> list[str]:
    """The attributes that are wanted, or else of all columns that could be one."""
    if wanted is not None:
        names = [name.strip() for name in wanted.split(",")]
        for name in names:
            if name not in columns or name in (subject, *not_these):
                raise DataError(
                    f"{path} has no column {name!r}{nearest(name, columns)} of labels; its columns "
                    f"are {', '.join(columns)}"
                )
        return list(dict.fromkeys(names))
    found = [
        name
        for name in columns
        if name != subject
        and name not in not_these
        and not describes(name)
        and not name.endswith(("_confidence", "score"))
    ]
    if not found:
        raise DataError(f"{path} has no column of labels besides {', '.join(columns)}; add one")
    return found


def _notes(
    chosen: Collection[str], taken: Collection[str], *, is_named: bool, mixed: Sequence[str]
) -> list[str]:
    """Say which columns are attributes where none was named, and what is counted together."""
    notes = []
    if ignored := [name for name in chosen if name not in taken]:
        notes.append(f"not taken for attributes, too many values: {', '.join(ignored)}")
    if not is_named and len(taken) > 1:
        notes.append(f"taken for attributes: {', '.join(taken)}; choose with --attribute")
    if mixed:
        notes.append(
            f"images of every {' and '.join(mixed)} are counted together; --by {','.join(mixed)} "
            f"measures each, --where {mixed[0]}=VALUE chooses one"
        )
    return notes
