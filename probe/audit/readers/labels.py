"""Files of labels: a row an image, a column an attribute, made by people or by any program."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from probe.audit.readers.selection import Selection
from probe.audit.readers.values import MAX_VALUES, Values
from probe.audit.tables import LabelTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import MISSING
from probe.io.lines import nearest
from probe.io.records import Records, Row, text_of

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
SUBJECTS = ("subject", "subjects", "occupation", "profession", "job", "concept")
"""Names that the column of subjects usually has."""

SEEDS = ("seed", "seeds", "evaluation_seed")
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
    """Read labels from a ``.csv``, ``.tsv``, ``.json``, ``.jsonl`` or ``.parquet`` file.

    One row an image. The column ``subject`` (or ``occupation``, ...) names what the image was
    to show, ``seed``, if there is one, the noise that it started from, ``file_name`` the image,
    which counts once. Of the others each is an attribute, but for those that describe the image or
    its file (``model``, ``setting``, ...) or hold more than `MAX_VALUES` values. An empty field,
    "undetected" and "none" count as undetected, "ambiguous", "both" and "unknown" as ambiguous.
    Rows are read one by one, and a few bytes of each are kept, so a file may be larger than memory.

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
    return gather(path, *read_rows(path), attribute, values, selection or Selection())


def gather(
    path: Path,
    head: Sequence[str],
    rows: Iterable[Row],
    attribute: str | None,
    values: Sequence[str] | None,
    selection: Selection,
    *,
    count: str | None = None,
) -> LabelTable:
    """Gather rows of labels, or of counts with the number of images in a column ``count``."""
    check_values(values)
    subject = subject_column(path, head)
    chosen = _attribute_columns(path, head, subject, attribute, (*selection.by, count))
    if values is not None and len(chosen) > 1:
        raise DataError(
            f"{path} has the attributes {', '.join(chosen)}; say with --attribute which one has "
            f"the values {', '.join(values)}"
        )
    seed, file = (
        next((i for i, name in enumerate(head) if name.lower() in known), None)
        for known in (SEEDS, FILE_COLUMNS)
    )
    weight = None if count is None else head.index(count)
    others = [i for i in range(len(head)) if i not in (*chosen.values(), weight)]
    identity = [
        i for i in others if i in (subject, file) or head[i].lower() in (*_DESCRIBE, *SEEDS)
    ]
    if weight is not None:
        identity = [i for i in range(len(head)) if i != weight]
    used = (*selection.by, *selection.where)
    makers = [i for i in others if head[i].lower() in MAKERS and head[i] not in used]
    subjects: dict[str, int] = {}
    of_rows, weights, images = array("i"), array("q"), array("q")
    seeds, groups, first, mixed = list[str](), list[str](), dict[int, object](), set[int]()
    is_certain = attribute is not None or count is not None
    columns = {
        name: Values(path, name, values, renamed=selection.renamed, is_certain=is_certain)
        for name in chosen
    }
    for place, row in selection.rows(path, head, rows):
        name = subject_name(path, place, row[subject])
        of_rows.append(subjects.setdefault(name, len(subjects)))
        for label, column in list(columns.items()):
            if not column.add(text_of(row[chosen[label]]), place):
                del columns[label]
        mixed |= {i for i in makers if first.setdefault(i, row[i]) != row[i]}
        if weight is not None or file is not None:
            is_named = file is None or text_of(row[file])
            images.append(hash(tuple(text_of(row[i]) for i in identity) if is_named else place))
        if weight is not None:
            weights.append(row[weight])
        if seed is not None:
            seeds.append(text_of(row[seed]))
        if selection.by:
            groups.append(selection.group(head, row))
    if not columns:
        raise DataError(
            f"{path}: every column holds more than {MAX_VALUES} values; name the attribute with "
            "--attribute"
        )
    selection.refuse_unused(path, columns.values())
    of_row = np.frombuffer(weights, dtype=np.int64) if weights else None
    table = LabelTable(
        source=path.name,
        subjects=list(subjects),
        rows=np.frombuffer(of_rows, dtype=np.int32),
        values={name: list(column.known) for name, column in columns.items()},
        codes={name: np.frombuffer(of.codes, dtype=np.int32) for name, of in columns.items()},
        seeds=None if seed is None else seeds,
        notes=tuple(note for column in columns.values() for note in column.check(of_row)),
        weights=of_row,
        groups=groups or None,
    )
    names = [head[i] for i in sorted(mixed)]
    notes = _notes(chosen, columns, is_named=attribute is not None, mixed=names)
    return _once(path, table.noted(*notes), images, names)


def _once(path: Path, table: LabelTable, images: array[int], mixed: Sequence[str]) -> LabelTable:
    """Count each image once; of counts, refuse what is counted twice."""
    if not images:
        return table
    import pandas as pd

    frame = pd.DataFrame({"image": np.frombuffer(images, dtype=np.int64), **table.codes})
    again, same = frame.duplicated("image"), frame.duplicated()
    if table.weights is not None:
        if mixed:
            raise DataError(
                f"{path} has rows of every {' and '.join(mixed)}; measure each with --by "
                f"{','.join(mixed)}, or choose one with --where {mixed[0]}=VALUE"
            )
        if (again := frame.duplicated("image")).any():
            row = int(again.argmax())
            labels = " ".join(
                repr((*table.values[name], *MISSING[::-1])[of[row]])
                for name, of in table.codes.items()
            )
            raise DataError(
                f"{path} counts {labels} of {table.subjects[table.rows[row]]!r} a second time; add "
                "the two up, delete one, or measure each with --by and the name of a column"
            )
        return table
    if (differ := again & ~same).any():
        row = int(differ.argmax())
        raise DataError(
            f"{path}: rows {int((frame['image'] == frame['image'][row]).argmax()) + 1} and "
            f"{row + 1} give one image different labels; keep one, or choose rows with --where"
        )
    if not same.any():
        return table
    note = f"{int(same.sum())} rows name an image again; each image counts once"
    return table.take(np.flatnonzero(~same)).noted(note)


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
    if not (name := text_of(value)):
        raise DataError(f"{path}, {place}, names no subject; fill it in, or delete the row")
    return name


def describes(name: str) -> bool:
    """Whether a column describes an image or its file, and not who is seen in it."""
    return name.lower() in (*_DESCRIBE, *_ASIDE, *SEEDS, *FILE_COLUMNS)


def _attribute_columns(
    path: Path,
    columns: Sequence[str],
    subject: int,
    wanted: str | None,
    not_these: Sequence[str | None],
) -> Mapping[str, int]:
    """Places of the attributes that are wanted, or else of all columns that could be one."""
    if wanted is not None:
        names = [name.strip() for name in wanted.split(",")]
        for name in names:
            if name not in columns or name in (columns[subject], *not_these):
                raise DataError(
                    f"{path} has no column {name!r}{nearest(name, columns)} of labels; its columns "
                    f"are {', '.join(columns)}"
                )
        return {name: columns.index(name) for name in names}
    found = {
        name: i
        for i, name in enumerate(columns)
        if i != subject
        and name not in not_these
        and not describes(name)
        and not name.endswith(("_confidence", "score"))
    }
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
