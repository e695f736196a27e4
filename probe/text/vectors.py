"""Imported vectors: a matrix whose rows have names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from probe.arrays import Float32, Indices
from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.io.files import hash_parts
from probe.io.lines import nearest

_BLOCK = 1 << 22  # numbers that are checked together


@dataclass(frozen=True, eq=False)
class NamedVectors:
    """A matrix whose rows have names; the rows are not normalised."""

    names: tuple[str, ...]
    """Names of the rows, all different: words or prompts."""
    matrix: Float32
    """Shape (n_rows, n_features), float32, all finite; may be mapped from a file, read-only."""
    source: str
    """Name of the file, without its folder."""
    notes: tuple[str, ...] = ()
    """Changes and peculiarities, a phrase each; empty if the matrix equals the file's."""

    def __post_init__(self) -> None:
        shape = self.matrix.shape
        if self.matrix.ndim != 2 or 0 in shape:
            raise ShapeError(
                f"{self.source} holds an array of shape {shape}; needed (n_rows, n_features), both "
                "at least 1"
            )
        if shape[1] < 2:
            raise DegenerateDataError(
                f"the rows of {self.source} have 1 feature; needed at least 2, because in one "
                "dimension all rows are parallel and no direction differs from another"
            )
        if len(self.names) != shape[0]:
            raise DataError(
                f"{self.source} has {shape[0]} rows but {len(self.names)} names; needed one name a "
                "row, in the order of the rows"
            )
        self._check_names()
        is_finite = np.concatenate([np.isfinite(rows).all(axis=1) for rows in self._blocks()])
        if len(wrong := np.flatnonzero(~is_finite)):
            raise DataError(
                f"{self.source} holds NaN, infinity or numbers beyond float32 in the rows of "
                f"{listed([self.names[row] for row in wrong])}; correct or leave out these rows"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_features(self) -> int:
        """Width of a row."""
        return int(self.matrix.shape[1])

    @cached_property
    def hash(self) -> str:
        """Hash of names and numbers, 16 hexadecimal digits: the revision of imported vectors."""
        return hash_parts(*self.names, *self._blocks())

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Row of each name."""
        return {name: row for row, name in enumerate(self.names)}

    def rows(self, names: Sequence[str]) -> Indices:
        """Find rows by their exact names; `DataError` if one is missing."""
        if missing := [name for name in names if name not in self.row_of]:
            raise DataError(
                f"{self.source} has no vector for {missing[0]!r}"
                f"{nearest(missing[0], self.names)} ({len(missing)} missing); choose other names"
            )
        return np.array([self.row_of[name] for name in names], dtype=np.intp)

    def select(self, names: Sequence[str]) -> NamedVectors:
        """Keep some rows, in the order of the names given."""
        return NamedVectors(tuple(names), self.matrix[self.rows(names)], self.source, self.notes)

    def unit(self) -> Float32:
        """Rows divided by their Euclidean norm, of shape (n_rows, n_features).

        `DegenerateDataError` if a row is zero and so has no direction.
        """
        wide = self.matrix.astype(np.float64)  # squares of float32 can overflow and underflow
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        if len(zeros := np.flatnonzero(norms == 0)):
            raise DegenerateDataError(
                f"the rows of {self.source} named {listed([self.names[i] for i in zeros])} are "
                "zero and have no direction; leave these names out"
            )
        wide /= norms
        return wide.astype(np.float32)

    def _blocks(self) -> Iterator[Float32]:
        """Some rows at a time, because the matrix may be larger than the memory."""
        step = max(1, _BLOCK // self.n_features)
        return (self.matrix[start : start + step] for start in range(0, len(self), step))

    def _check_names(self) -> None:
        for row, name in enumerate(self.names):
            if not name or "\0" in name or not _is_unicode(name):
                raise DataError(
                    f"the name of row {row} of {self.source} is empty or no text: {name!r}"
                )
        if len(self.row_of) < len(self):
            row, name = next((i, n) for i, n in enumerate(self.names) if self.row_of[n] != i)
            raise DataError(
                f"{self.source} names both row {row} and row {self.row_of[name]} {name!r}; needed "
                "each name once: rename one of them"
            )


def listed(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
