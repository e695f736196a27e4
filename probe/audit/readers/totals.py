"""Totals in tables of counts: values and subjects that sum the others are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from probe.audit.readers.labels import describes, subject_column
from probe.audit.readers.selection import Selection
from probe.errors import DataError
from probe.images.missing_labels import missing_reason
from probe.io.records import Row, text_of

TOTALS = ("total", "totals", "n_total", "all", "sum", "overall")
"""Names of what sums the others."""

_ENOUGH = {"value": 2, "subject": 3}  # others that a sum has if it is no coincidence


def without_totals(
    path: Path,
    head: Sequence[str],
    rows: Sequence[Row],
    selection: Selection,
    *,
    is_closed: bool,
    notes: list[str],
) -> list[Row]:
    """Leave out rows of counts that are named totals, with a note.

    Raises
    ------
    DataError
        If one is named a total and is none, or is the sum of all others without the name.
        With ``is_closed`` the user has named all values, and none of them is a total.
    """
    subject = subject_column(path, head)
    labels = [
        i
        for i, name in enumerate(head[:-1])
        if i != subject and name not in selection.by and not describes(name)
    ]
    frame = pd.DataFrame(
        {
            "group": [selection.group(head, row) for _, row in rows],
            "subject": [text_of(row[subject]) for _, row in rows],
            "value": [", ".join(text_of(row[i]) for i in labels) for _, row in rows],
            "count": [row[-1] for _, row in rows],
        }
    )
    named = {text_of(row[i]).casefold() for _, row in rows for i in labels}
    if len(labels) > 1 and not named.isdisjoint(TOTALS):
        raise DataError(f"{path} has rows of totals beside several attributes; delete those rows")
    for what, across in (("value", "subject"), ("subject", "value")):
        totals = set()
        for group, of in frame.groupby("group"):
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
        keys = zip(frame["group"], frame[what], strict=True)
        frame = frame[[key not in totals for key in keys]]
        if totals:
            notes.append(f"left out, because it sums the others: {min(totals)[1]}")
        if wrong := [name for name in frame[what] if name.casefold() in TOTALS]:
            raise DataError(
                f"{path}: the {what} {wrong[0]!r} is not the sum of the others; correct it, or "
                "delete it"
            )
    return [rows[i] for i in frame.index]
