"""Which rows of a table are read, what groups them, and how their values are renamed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from probe.errors import DataError, OptionError
from probe.io.lines import nearest


@dataclass(frozen=True)
class Selection:
    """The options ``--where``, ``--by`` and ``--map`` of a table."""

    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column -> the values that are kept."""
    by: tuple[str, ...] = ()
    """Columns whose values are groups, each measured on its own."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Value of an attribute -> the value that it is counted as."""
    is_strict: bool = True
    """Whether every value to rename must occur."""

    @classmethod
    def parse(
        cls, where: Sequence[str] = (), by: str | None = None, renamed: Sequence[str] = ()
    ) -> Selection:
        """Read the options: ``model=sd15``, several of a column mean any; ``model,setting``."""
        kept: dict[str, tuple[str, ...]] = {}
        for column, value in _pairs("--where", where, "model=sd15"):
            kept[column] = (*kept.get(column, ()), value)
        columns = tuple(name.strip() for name in by.split(",")) if by is not None else ()
        if len(set(columns)) < len(columns) or not all(columns):
            raise OptionError(f"--by is {by!r}; needed columns, each once, as in model,setting")
        return cls(kept, columns, dict(_pairs("--map", renamed, "females=woman")))

    def select(self, path: Path, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that are kept; `DataError` if a column or a value does not occur."""
        self.refuse_unknown(path, frame.columns)
        is_kept = np.ones(len(frame), dtype=bool)
        for name, values in self.where.items():
            known = frame[name].unique().tolist()
            if absent := [value for value in values if value not in known]:
                raise DataError(
                    f"{path}: {name} is never {absent[0]!r}{nearest(absent[0], known)}; it is "
                    f"{', '.join(known[:40])}"
                )
            is_kept &= frame[name].isin(values).to_numpy()
        return frame[is_kept]

    def refuse_unknown(self, path: Path, columns: Iterable[str]) -> None:
        """Refuse a column that a table does not have."""
        for name in (*self.where, *self.by):
            if name not in columns:
                raise DataError(
                    f"{path} has no column {name!r}{nearest(name, columns)}; its columns are "
                    f"{', '.join(columns)}"
                )

    def find_unused(self, path: Path, labels: pd.DataFrame, known: Sequence[str]) -> frozenset[str]:
        """Values to rename that do not occur in columns of labels; refused if this is strict."""
        unused = [label for label in self.renamed if not (labels == label).any(axis=None)]
        if unused and self.is_strict:
            raise DataError(
                f"{path} has no value {unused[0]!r}{nearest(unused[0], known)} for --map to "
                f"rename; it has {', '.join(known)}"
            )
        return frozenset(unused)

    def groups(self, frame: pd.DataFrame) -> list[str]:
        """Name of the group of each row."""
        return [", ".join(row) for row in frame[[*self.by]].replace("", "(none)").to_numpy()]


def _pairs(option: str, texts: Sequence[str], example: str) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise OptionError(f"{option} is {text!r}; needed NAME=VALUE, as in {example}")
        found.append((name, value))
    return found
