"""Files of counts: images by subject and value, in the forms they come in."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from probe.audit.readers.labels import SUFFIXES, describes, gather, read_frame, subject_column
from probe.audit.readers.selection import Selection
from probe.audit.tables import CountTable, LabelTable
from probe.errors import DataError, OptionError
from probe.images.missing_labels import UNDETECTED, missing_reason
from probe.io.lines import is_number, read_lines
from probe.io.records import Row

MAX_COUNT = 10**9
"""Larger counts are refused: nobody made so many images of a subject, and they overflow."""

TOTALS = ("total", "totals", "n_total", "all", "sum", "overall")
"""Names of what sums the others."""

_ENOUGH = {"value": 2, "subject": 3}  # others that a sum has if it is no coincidence
_COUNTS = ("count", "counts", "n", "n_images", "images", "number", *TOTALS)
_PREFIX = re.compile(r"(?i)^(?:n|num|number|count|share|ratio|frac|fraction)_(?:of_)?|"
                     r"_(?:count|n|share|ratio)$")  # fmt: skip


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
    """Read counts by subject and value, in any of the forms of ``docs/files.md``.

    Where ``values`` are named, these are all of them, in this order; any other is refused.
    """
    path, selection, suffix = Path(path), selection or Selection(), Path(path).suffix.lower()
    if suffix == ".txt":
        rows = list(_alternating(path))
        frame = pd.DataFrame(
            [row for _, row in rows],
            index=[place for place, _ in rows],
            columns=["subject", attribute or "value", "count"],
        )
        frame = selection.select(path, frame)
    elif suffix in SUFFIXES:
        frame = _long(path, attribute, values, selection)
    else:
        needed = ", ".join((*SUFFIXES, ".txt"))
        raise OptionError(f"{path.name} is no file of counts; needed one of {needed}")
    if frame.empty:
        raise DataError(f"{path} holds no counts; needed at least one subject")
    frame, notes = _without_totals(path, frame, selection, is_closed=values is not None)
    found = replace(selection, where={})
    return gather(path, frame, attribute, values, found, count=frame.columns[-1]).noted(*notes)


def _long(
    path: Path, attribute: str | None, values: Sequence[str] | None, selection: Selection
) -> pd.DataFrame:
    """Rows of a table in long form, whose last column is the count."""
    frame = read_frame(path)
    columns = list(frame.columns)
    subject = subject_column(path, columns)
    frame = selection.select(path, frame)
    named = [name for name in columns if name.lower() in _COUNTS]
    if len(named) > 1:
        raise DataError(
            f"{path} has the columns {', '.join(named)}, which all look like the number of images; "
            "delete all but one"
        )
    kept = [
        name
        for name in columns
        if name in (subject, *selection.by)
        or (describes(name) and name not in named and name not in (values or ()))
    ]
    others = [name for name in columns if name not in (*named, *kept, *selection.where)]
    if not others:
        raise DataError(f"{path} has no column of values besides {', '.join(columns)}; add one")
    texts = [name for name in others if len(frame) and not frame[name].map(is_number).any()]
    repeats = frame[kept].duplicated().any() and not any(map(_PREFIX.search, others))
    totals: list[int | None] = [None] * len(frame)
    if named:
        totals = [_whole(path, place, cell) for place, cell in frame[named[0]].items()]
    if named and (texts or repeats):
        found = frame[[*kept, *others]].assign(**{named[0]: totals})
        return found.rename(columns={"value": attribute or "value"} if others == ["value"] else {})
    if texts:
        raise DataError(
            f"{path}: {texts[0]} holds no counts; group the rows by it with --by, choose some with "
            "--where, or, if each row is an image, read the file with --labels"
        )
    rows, places = [], []
    each = (frame.index, frame[kept].to_numpy(), frame[others].to_dict("records"))
    for place, cells, written, total in zip(*each, totals, strict=True):
        counts = _wide(path, place, written, total, values)
        rows += [[*cells, value, count] for value, count in counts.items()]
        places += [place] * len(counts)
    return pd.DataFrame(rows, index=places, columns=[*kept, attribute or "value", "count"])


def _without_totals(
    path: Path, frame: pd.DataFrame, selection: Selection, *, is_closed: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Leave out rows of counts that are named totals, with a note; the last column is the count.

    `DataError` if one is named a total and is none, or is the sum of all others without the name.
    With ``is_closed`` the user has named all values, and none of them is a total.
    """
    subject = subject_column(path, frame.columns)
    labels = [
        name
        for name in frame.columns[:-1]
        if name != subject and name not in selection.by and not describes(name)
    ]
    if len(labels) > 1 and frame[labels].map(str.casefold).isin(TOTALS).any(axis=None):
        raise DataError(f"{path} has rows of totals beside several attributes; delete those rows")
    left = pd.DataFrame(
        {
            "group": selection.groups(frame),
            "subject": frame[subject].to_numpy(),
            "value": [", ".join(cells) for cells in frame[labels].to_numpy()],
            "count": frame.iloc[:, -1].to_numpy(),
        }
    )
    notes = []
    for what, across in (("value", "subject"), ("subject", "value")):
        totals = set()
        for group, of in left.groupby("group"):
            table = of.pivot_table("count", what, across, "sum", fill_value=0)
            is_value = [what == "subject" or missing_reason(name) is None for name in table.index]
            # a total of values may leave out what was not seen
            is_sum = (2 * table == table.sum()).all(axis=1)
            is_sum |= (2 * table == table[is_value].sum()).all(axis=1)
            is_clear = sum(is_value) > _ENOUGH[what] and len(table.columns) > 1
            for name in table.index[is_sum & (table.sum(axis=1) > 0)]:
                if name.casefold() in TOTALS:
                    totals.add((group, name))
                elif is_clear and not (what == "value" and is_closed):
                    advice = ", or name all values with --values" if what == "value" else ""
                    raise DataError(
                        f"{path}: the {what} {name!r} is the sum of all others and seems to be a "
                        f"total; name it total, delete it{advice}"
                    )
        keys = zip(left["group"], left[what], strict=True)
        left = left[[key not in totals for key in keys]]
        if totals:
            notes.append(f"left out, because it sums the others: {min(totals)[1]}")
        if wrong := [name for name in left[what] if name.casefold() in TOTALS]:
            raise DataError(
                f"{path}: the {what} {wrong[0]!r} is not the sum of the others; correct it, or "
                "delete it"
            )
    return frame.iloc[left.index], notes


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
        pairs = [part.partition(":") for part in line.removesuffix(",").split(",")]
        if not all(colon and value.strip() for value, colon, _ in pairs):
            raise DataError(
                f"{path}, {place}, is {line[:60]!r}; needed counts as in 'man: 166, woman: 84' "
                f"under the subject {subject!r}"
            )
        for value, _, count in pairs:
            yield place, [subject, value.strip(), _whole(path, place, count.strip())]
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
