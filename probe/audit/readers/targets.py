"""What is fair: parity, one distribution for all subjects, or a table of shares by subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from probe.arrays import Double
from probe.audit.readers.labels import SUFFIXES, subject_column
from probe.errors import DataError, OptionError
from probe.io.lines import is_number, nearest
from probe.io.records import Records

PARITY = "parity"


def parse_target(text: str, *, subjects: Sequence[str], values: Sequence[str]) -> Double | None:
    """Read a target as the command line takes it.

    Parameters
    ----------
    text : str
        ``parity``; one distribution, as in ``woman=0.3,man=0.7``; or a table of shares: a file
        (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``) with a column ``subject`` and one a value.
    subjects, values : sequence of str
        Rows and columns of the counts.

    Returns
    -------
    ndarray of shape (n_values,) or (n_subjects, n_values), or None for parity

    Raises
    ------
    DataError
        If the target names an unknown subject or value, lacks one, or holds no shares.
    """
    if text == PARITY:
        return None
    if "=" in text and Path(text).suffix.lower() not in SUFFIXES:
        return _row("the target", _distribution(text), values)
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"the target is {text!r}; needed parity, a distribution as in woman=0.3,man=0.7, or a "
            f"table that ends in {', '.join(SUFFIXES)}"
        )
    return target_of(read_shares(path), subjects=subjects, values=values, source=str(path))


def read_shares(path: Path) -> dict[str, dict[str, str]]:
    """Read a table of shares: by subject, then by value, as they are written.

    Raises
    ------
    DataError
        If the table cannot be read or names a subject twice.
    """
    records = Records.read(path)
    subject = subject_column(path, records.columns)
    table: dict[str, dict[str, str]] = {}
    for place, row in records.rows:
        if all(cell is None for cell in row):
            continue
        name = str(row[subject] or "").strip()
        if name in table:
            raise DataError(f"{path}, {place}, names {name!r} a second time; delete one row")
        table[name] = {
            column: str(cell)
            for i, (column, cell) in enumerate(zip(records.columns, row, strict=True))
            if i != subject
        }
    return table


def target_of(
    shares: Mapping[str, Mapping[str, str]],
    *,
    subjects: Sequence[str],
    values: Sequence[str],
    source: str,
) -> Double:
    """Arrange shares by subject as the counts are, shape (n_subjects, n_values).

    Raises
    ------
    DataError
        If a subject of the target is not among those counted, or the other way round, or a row
        is no distribution over the values.
    """
    if unknown := [name for name in shares if name not in set(subjects)]:
        raise DataError(
            f"{source} names the subject {unknown[0]!r}{nearest(unknown[0], subjects)}, of which "
            f"there is no picture ({len(unknown)} in all); delete the row, or correct the name"
        )
    if missing := [name for name in subjects if name not in shares]:
        raise DataError(
            f"{source} has no row for the subject {missing[0]!r} ({len(missing)} in all); needed "
            "one for each subject that has pictures"
        )
    return np.stack([_row(f"{source}, {name!r}", shares[name], values) for name in subjects])


def _distribution(text: str) -> dict[str, str]:
    pairs = [[end.strip() for end in part.partition("=")] for part in text.split(",")]
    names = [name for name, _, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"the target gives {twice[0]!r} a share twice; delete one")
    return {name: share for name, _, share in pairs}


def _row(source: str, shares: Mapping[str, str], values: Sequence[str]) -> Double:
    if unknown := [name for name in shares if name not in set(values)]:
        raise DataError(
            f"{source} names the value {unknown[0]!r}{nearest(unknown[0], values)}; the values "
            f"are {', '.join(values)}"
        )
    if missing := [name for name in values if name not in shares]:
        raise DataError(f"{source} gives {missing[0]!r} no share; needed {', '.join(values)}")
    written = [shares[value] for value in values]
    if not all(map(is_number, written)):
        raise DataError(f"{source} has the shares {', '.join(written)}; needed numbers")
    row = np.array([float(share) for share in written])
    if not (row > 0).all() or not np.isclose(row.sum(), 1.0):
        raise DataError(
            f"{source} has the shares {', '.join(written)}; needed positive numbers that sum to 1"
        )
    return row
