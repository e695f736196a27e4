"""Sources of an audit: files of labels or counts, read by us or by a plugin."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from probe.audit.readers.counts import read_count_rows
from probe.audit.readers.labels import read_labels
from probe.audit.readers.selection import Selection
from probe.audit.tables import CountTable, LabelTable
from probe.errors import OptionError
from probe.io.plugins import Registry

Source: TypeAlias = CountTable | LabelTable
"""What can be audited: counts of one attribute, or labels of several."""

READERS: Registry[Callable[..., Source]] = Registry("reader")
"""Readers of plugins, by the suffix of the files that they read, e.g. ``".rds"``; called with the
path and the keyword arguments ``attribute`` and ``values``."""


def read_source(
    *,
    labels: Path | None = None,
    counts: Path | None = None,
    attribute: str | None = None,
    values: Sequence[str] | None = None,
    selection: Selection | None = None,
) -> Source:
    """Read labels or counts, whichever is named; `OptionError` if not exactly one of them is."""
    path = counts if labels is None else labels
    if path is not None and path.suffix in READERS:
        if selection is not None and selection != Selection():
            raise OptionError(f"--by, --where and --map are not for {path.suffix}; leave them out")
        return READERS[path.suffix](path, attribute=attribute, values=values)
    if path is None or (labels is not None and counts is not None):
        raise OptionError("name labels or counts; needed exactly one of them")
    read = read_count_rows if labels is None else read_labels
    return read(path, attribute=attribute, values=values, selection=selection)
