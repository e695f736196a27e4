"""Files of counts: images by subject and value, in the forms they come in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from probe.audit.readers.labels import (
    SUFFIXES,
    describes,
    gather,
    read_rows,
    subject_column,
)
from probe.audit.readers.selection import Selection
from probe.audit.readers.totals import TOTALS, without_totals
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import UNDETECTED, missing_reason
from probe.io.lines import is_number, read_lines
from probe.io.records import Row, text_of

MAX_COUNT = 10**9
"""Larger counts are refused: nobody made so many images of a subject, and they overflow."""

_COUNTS = ("count", "counts", "n", "n_images", "images", "number", *TOTALS)
_PREFIX = re.compile(r"(?i)^(?:n|num|number|count|share|ratio|frac|fraction)_(?:of_)?|"
                     r"_(?:count|n|share|ratio)$")  # fmt: skip
_PAIR = re.compile(r"\s*([^:,]+?)\s*:\s*([^,]*?)\s*(?:,|$)")


def read_counts(
    path: str | Path, *, attribute: str | None = None, values: Sequence[str] | None = None
) -> CountTable:
    """Read counts of one attribute; see `read_count_rows`."""
    table = read_count_rows(path, attribute=attribute, values=values)
    return table.count(next(iter(table.values)))


def read_count_rows(
    path: str | Path,
    *,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
    selection: Selection | None = None,
) -> LabelTable:
    """Read counts by subject and value from a table, or from Fair-Diffusion's ``.txt``.

    Three forms: *long*, columns ``subject``, one an attribute, and ``count``; *wide*, ``subject``
    and a column a value; and, as ``.txt``, that of Fair-Diffusion's results: a line with the
    subject, then one with ``man: 166, woman: 84, except: 0``. In a wide table a column ``n`` or
    ``total`` is the number of images: of a single value, the others do not show it; of several,
    what they do not add up to is undetected; and shares are shares of it. Columns and rows that
    sum the others are no values and no subjects. Values that mean that nothing was seen
    ("except", "undetected", "ambiguous", ...) are kept apart. Where ``values`` are named, these
    are all of them, in this order; any other is refused.
    """
    path, selection, notes = Path(path), selection or Selection(), list[str]()
    suffix = path.suffix.lower()
    if suffix == ".txt":
        head, rows = ["subject", attribute or "value", _COUNTS[0]], list(_alternating(path))
        selection.refuse_unknown(path, head)
    elif suffix in SUFFIXES:
        head, rows = _long(path, attribute, values, selection)
    else:
        needed = ", ".join((*SUFFIXES, ".txt"))
        raise OptionError(f"{path.name} is no file of counts; needed one of {needed}")
    if not rows:
        raise DataError(f"{path} holds no counts; needed at least one subject")
    rows = without_totals(path, head, rows, selection, is_closed=values is not None, notes=notes)
    found = replace(selection, where={})
    return gather(path, head, rows, attribute, values, found, count=head[-1]).noted(*notes)


def _long(
    path: Path, attribute: str | None, values: Sequence[str] | None, selection: Selection
) -> tuple[list[str], list[Row]]:
    """Rows of a table in long form, whose last column is the count."""
    columns, read = read_rows(path)
    subject = subject_column(path, columns)
    rows = list(selection.rows(path, columns, read))
    named = [i for i, name in enumerate(columns) if name.lower() in _COUNTS]
    if len(named) > 1:
        raise DataError(
            f"{path} has the columns {', '.join(columns[i] for i in named)}, which all look like "
            "the number of images; delete all but one"
        )
    kept = [
        i
        for i, name in enumerate(columns)
        if i == subject
        or name in selection.by
        or (describes(name) and i not in named and name not in (values or ()))
    ]
    done = {*named, *kept, *map(columns.index, selection.where)}
    others = [i for i in range(len(columns)) if i not in done]
    if not others:
        raise DataError(f"{path} has no column of values besides {', '.join(columns)}; add one")
    texts = [i for i in others if rows and not any(is_number(text_of(row[i])) for _, row in rows)]
    keys = {tuple(text_of(row[i]) for i in kept) for _, row in rows}
    repeats = len(keys) < len(rows) and not any(_PREFIX.search(columns[i]) for i in others)
    if named and (texts or repeats):
        kept += others
        is_unnamed = [columns[i] for i in others] == ["value"]
        names = {"value": attribute or "value"} if is_unnamed else {}
        return [*(names.get(columns[i], columns[i]) for i in kept), columns[named[0]]], [
            (place, [*(row[i] for i in kept), _whole(path, place, row[named[0]])])
            for place, row in rows
        ]
    if texts:
        raise DataError(
            f"{path}: {columns[texts[0]]} holds no counts; group the rows by it with --by, choose "
            "some with --where, or, if each row is an image, read the file with --labels"
        )
    return [*(columns[i] for i in kept), attribute or "value", _COUNTS[0]], [
        (place, [*(row[i] for i in kept), value, count])
        for place, row in rows
        for value, count in _wide(
            path,
            place,
            {columns[i]: text_of(row[i]) for i in others},
            _whole(path, place, row[named[0]]) if named else None,
            values,
        ).items()
    ]


def _wide(
    path: Path,
    place: str,
    written: Mapping[str, str],
    total: int | None,
    values: Sequence[str] | None,
) -> dict[str, int]:
    """Counts of a row of a wide table by value; ``total`` is its number of images."""
    if total is None:
        return {name: _whole(path, place, text) for name, text in written.items()}
    shares = [float(text) for text in written.values() if is_number(text)]
    if any(not share.is_integer() for share in shares) and all(0 <= share <= 1 for share in shares):
        counts = {name: _of_share(path, place, text, total) for name, text in written.items()}
    else:
        counts = {name: _whole(path, place, text) for name, text in written.items()}
    if len(counts) == 1:
        [(name, count)] = counts.items()
        value = name if name in (values or ()) else _PREFIX.sub("", name)
        others = [each for each in values or () if each != value]
        counts = {value: count, others[0] if len(others) == 1 else f"not {value}": total - count}
    elif sum(n for name, n in counts.items() if missing_reason(name) is None) != total:
        rest = total - sum(counts.values())
        unseen = next((name for name in counts if missing_reason(name) == UNDETECTED), UNDETECTED)
        counts[unseen] = counts.get(unseen, 0) + rest
    if min(counts.values()) < 0:
        raise DataError(
            f"{path}, {place}, counts {', '.join(written.values())} of {total} images; needed no "
            "more than there are: correct the row"
        )
    return counts


def _of_share(path: Path, place: str, text: str, total: int) -> int:
    """Number of images that a share, as precisely as it is written, is of a total."""
    count = round(float(text) * total)
    n_decimals = len(text.partition(".")[2])
    if abs(count - float(text) * total) > 0.5 * total * 10.0**-n_decimals + 1e-3:
        raise DataError(
            f"{path}, {place}, has the share {text} of {total} images, which is no whole number of "
            "them; correct the share or the number"
        )
    return count


def _alternating(path: Path) -> Iterator[Row]:
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
            yield place, [subject, value, _whole(path, place, count)]
        subject = ""
    if subject:
        raise DataError(f"{path} ends with the subject {subject!r} and no counts; add them")


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
        f"{MAX_COUNT:,}, or shares beside a column n"
    )
