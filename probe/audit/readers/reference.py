"""Shares from elsewhere, such as the labour market's, and how an audit's shares go with them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from probe.audit.readers.counts import read_counts
from probe.audit.readers.targets import read_shares
from probe.audit.tables import CountTable
from probe.errors import DataError
from probe.io.lines import is_number, nearest


def read_reference(path: Path, value: str, *, column: str | None = None) -> dict[str, float]:
    """Read a number by subject: the share of a value in counts, or a column of a table.

    Parameters
    ----------
    path : Path
        Counts as ``.txt`` in Fair-Diffusion's form, else a table with a column of subjects.
    value : str
        The value whose share counts have; of a table, the column if none is named.
    column : str, optional
        Column of the table: shares, per cents or any other number by subject.

    Returns
    -------
    dict of str to float
        By subject, in lower case.

    Raises
    ------
    DataError
        If there is no such value or column, or a number is none.
    """
    if path.suffix.lower() == ".txt":
        table = read_counts(path).with_images()
        if value not in table.values:
            raise DataError(f"{path} counts {', '.join(table.values)}, not {value!r}")
        shares = table.counts[:, table.values.index(value)] / table.counts.sum(axis=1)
        return {
            name.lower(): float(share) for name, share in zip(table.subjects, shares, strict=True)
        }
    rows = read_shares(path)
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

    Returns
    -------
    dict
        ``r, p, low, high, n`` as `probe.share_correlation` gives them, the ``value``, and
        ``missing``: subjects that the reference lacks.

    Raises
    ------
    DataError
        If there is no such value, or fewer than 3 subjects are in both.
    """
    from probe.stats.correlation import share_correlation

    if value not in table.values:
        raise DataError(
            f"{table.source} has the values {', '.join(table.values)}, not {value!r}; say with "
            "--value whose share is meant"
        )
    is_known = [name.lower() in reference for name in table.subjects]
    rows = np.flatnonzero(is_known)
    if len(rows) < 3:
        raise DataError(
            f"{len(rows)} of {len(table.subjects)} subjects of {table.source} are in the reference "
            f"(the first is {table.subjects[0]!r}); needed at least 3: name them alike in both"
        )
    shares = table.counts[:, table.values.index(value)] / table.counts.sum(axis=1)
    known = np.array([reference[table.subjects[row].lower()] for row in rows])
    found = share_correlation(shares[rows], known)
    missing = [name for name, is_in in zip(table.subjects, is_known, strict=True) if not is_in]
    return {**asdict(found), "value": value, "missing": missing}
