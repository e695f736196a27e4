"""Shares that users bring: what is fair, and a reference that an audit's shares go with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.audit.readers.counts import read_counts
from probe.audit.readers.labels import SUFFIXES, check_subjects, read_frame, subject_column
from probe.audit.tables import CountTable
from probe.errors import DataError, OptionError
from probe.io.lines import is_number, nearest
from probe.stats.correlation import share_correlation

PARITY = "parity"

Shares = dict[str, dict[str, str]]
"""By subject, then by value, as they are written."""


def parse_target(text: str, *, subjects: Sequence[str], values: Sequence[str]) -> Double | None:
    """Read a target as the command line takes it, (n_values,) or (n_subjects, n_values).

    ``parity``, which is None; one distribution, as in ``woman=0.3,man=0.7``; or a table of
    shares (``docs/files.md``).
    """
    if text == PARITY:
        return None
    path = Path(text)
    if path.suffix.lower() in SUFFIXES:
        return _by_subject(path, subjects, values)
    if "=" in text:
        return _row("the target", _distribution(text), values)
    raise OptionError(
        f"the target is {text!r}; needed parity, a distribution as in woman=0.3,man=0.7, or a "
        f"table that ends in {', '.join(SUFFIXES)}"
    )


def read_reference(path: Path, value: str, *, column: str | None = None) -> dict[str, float]:
    """Read a number by subject, in lower case (``docs/files.md``).

    Counts in ``.txt`` give the share of the value; any other table the named column, else the
    value's, else its only one.
    """
    if path.suffix.lower() == ".txt":
        table = read_counts(path).with_images()
        if value not in table.values:
            raise DataError(f"{path} counts {', '.join(table.values)}, not {value!r}")
        shares = table.counts[:, table.values.index(value)] / table.counts.sum(axis=1)
        return dict(zip(map(str.lower, table.subjects), shares.tolist(), strict=True))
    rows = _read_shares(path)
    known = list(next(iter(rows.values()), {}))
    chosen = column or (value if value in known else known[0] if len(known) == 1 else None)
    if chosen not in known:
        raise DataError(
            f"{path} has the columns {', '.join(known)}"
            f"{nearest(chosen, known) if chosen else ''}; say with --column which one holds the "
            "shares"
        )
    for name, row in rows.items():
        if not is_number(row[chosen]):
            raise DataError(f"{path}, {name!r}: {chosen} is {row[chosen]!r}; needed a number")
    return {name.lower(): float(row[chosen]) for name, row in rows.items()}


def correlate(table: CountTable, value: str, reference: dict[str, float]) -> dict[str, Any]:
    """Correlate the shares of a value with the reference, over the subjects that both have.

    The result is that of `probe.share_correlation`, with the ``value`` and the ``missing``
    subjects, which the reference lacks.
    """
    if value not in table.values:
        raise DataError(
            f"{table.source} has the values {', '.join(table.values)}, not {value!r}; say with "
            "--value whose share is meant"
        )
    known = {
        row: reference[name.lower()]
        for row, name in enumerate(table.subjects)
        if name.lower() in reference
    }
    if len(known) < 3:
        raise DataError(
            f"{len(known)} of {len(table.subjects)} subjects of {table.source} are in the "
            f"reference (the first is {table.subjects[0]!r}); needed at least 3: name them alike "
            "in both"
        )
    shares = table.counts[:, table.values.index(value)] / table.counts.sum(axis=1)
    found = share_correlation(shares[list(known)], np.array(list(known.values())))
    missing = [name for row, name in enumerate(table.subjects) if row not in known]
    return {**asdict(found), "value": value, "missing": missing}


def _read_shares(path: Path) -> Shares:
    frame = read_frame(path)
    subject = subject_column(path, frame.columns)
    check_subjects(path, frame[subject])
    if (again := frame[frame[subject].duplicated().to_numpy()]).size:
        place, name = again.index[0], again[subject].iloc[0]
        raise DataError(f"{path}, {place}, names {name!r} a second time; delete one row")
    return {row.pop(subject): row for row in frame.to_dict("records")}


def _by_subject(path: Path, subjects: Sequence[str], values: Sequence[str]) -> Double:
    """Arrange a table of shares as the counts are, shape (n_subjects, n_values)."""
    shares = _read_shares(path)
    if unknown := [name for name in shares if name not in set(subjects)]:
        raise DataError(
            f"{path} names the subject {unknown[0]!r}{nearest(unknown[0], subjects)}, of which "
            f"there is no image ({len(unknown)} in all); delete the row, or correct the name"
        )
    if missing := [name for name in subjects if name not in shares]:
        raise DataError(
            f"{path} has no row for the subject {missing[0]!r} ({len(missing)} in all); needed "
            "one for each subject that has images"
        )
    return np.stack([_row(f"{path}, {name!r}", shares[name], values) for name in subjects])


def _distribution(text: str) -> dict[str, str]:
    pairs = [[side.strip() for side in part.partition("=")] for part in text.split(",")]
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
