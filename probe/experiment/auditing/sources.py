"""From what a user names to something that can be audited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from probe.images.audit.count_files import read_counts
from probe.images.audit.label_files import read_labels
from probe.images.audit.tables import CountTable, LabelTable


def read_source(
    *,
    labels: Path | None = None,
    counts: Path | None = None,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
) -> CountTable | LabelTable:
    """Read labels or counts, whichever is named.

    Raises
    ------
    ValueError
        If not exactly one of them is, or its file is of another kind.
    DataError
        If the file is not what it must be.
    """
    if labels is not None and counts is None:
        return read_labels(labels, attribute=attribute, values=values)
    if counts is not None and labels is None:
        return read_counts(counts, attribute=attribute or "value", values=values)
    raise ValueError("name labels or counts; needed exactly one of them")
