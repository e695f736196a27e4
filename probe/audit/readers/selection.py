"""Which rows of a table are read, what groups them, and how their values are renamed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from probe.audit.readers.values import Values
from probe.errors import DataError, OptionError
from probe.io.lines import nearest
from probe.io.records import Row, text_of


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

    def rows(self, path: Path, columns: Sequence[str], rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows that are kept; `DataError` if a column or a value does not occur."""
        self.refuse_unknown(path, columns)
        places = {columns.index(name): values for name, values in self.where.items()}
        known: dict[int, dict[str, None]] = {i: {} for i in places}
        for place, row in rows:
            cells = {i: text_of(row[i]) for i in places}
            for i, cell in cells.items():
                known[i].setdefault(cell)
            if all(cells[i] in values for i, values in places.items()):
                yield place, row
        for i, values in places.items():
            if absent := [value for value in values if value not in known[i]]:
                raise DataError(
                    f"{path}: {columns[i]} is never {absent[0]!r}{nearest(absent[0], known[i])}; "
                    f"it is {', '.join(list(known[i])[:40])}"
                )

    def refuse_unknown(self, path: Path, columns: Sequence[str]) -> None:
        """Refuse a column that a table does not have."""
        for name in (*self.where, *self.by):
            if name not in columns:
                raise DataError(
                    f"{path} has no column {name!r}{nearest(name, columns)}; its columns are "
                    f"{', '.join(columns)}"
                )

    def refuse_unused(self, path: Path, columns: Collection[Values]) -> None:
        """Refuse a value to rename that does not occur."""
        used = {label for column in columns for label in column.used}
        known = [value for column in columns for value in column.known]
        for label in self.renamed:
            if label not in used and self.is_strict:
                raise DataError(
                    f"{path} has no value {label!r}{nearest(label, known)} for --map to rename; "
                    f"it has {', '.join(known)}"
                )

    def group(self, columns: Sequence[str], row: Sequence[object]) -> str:
        """Name of the group of a row."""
        return ", ".join(text_of(row[columns.index(name)]) or "(none)" for name in self.by)


def _pairs(option: str, texts: Sequence[str], example: str) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise OptionError(f"{option} is {text!r}; needed NAME=VALUE, as in {example}")
        found.append((name, value))
    return found
