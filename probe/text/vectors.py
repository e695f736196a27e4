"""Imported vectors: a matrix whose rows have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
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
        if self.matrix.dtype != np.float32:
            raise ValueError(f"matrix has type {self.matrix.dtype}; needed float32")
        if len(self.names) != shape[0]:
            raise DataError(
                f"{self.source} has {shape[0]} rows but {len(self.names)} names; needed one name a "
                "row, in the order of the rows"
            )
        self._check_names()
        self._check_finite()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_features(self) -> int:
        """Width of a row."""
        return int(self.matrix.shape[1])

    @cached_property
    def hash(self) -> str:
        """Hash of names and numbers, 16 hexadecimal digits: the revision of imported vectors."""
        step = self._rows_a_block
        blocks = (self.matrix[i : i + step] for i in range(0, len(self), step))
        return hash_parts(*self.names, *blocks)

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Row of each name."""
        return {name: row for row, name in enumerate(self.names)}

    def rows(self, names: Sequence[str]) -> npt.NDArray[np.intp]:
        """Find rows by their exact names.

        Raises
        ------
        DataError
            If a name is missing.
        """
        if missing := [name for name in names if name not in self.row_of]:
            raise DataError(
                f"{self.source} has no vector for {missing[0]!r}"
                f"{nearest(missing[0], self.names)} ({len(missing)} missing); choose other names"
            )
        return np.array([self.row_of[name] for name in names], dtype=np.intp)

    def select(self, names: Sequence[str]) -> NamedVectors:
        """Keep some rows, in the order of the names given.

        Raises
        ------
        DataError
            If a name is missing or repeated, or there are none.
        """
        return NamedVectors(tuple(names), self.matrix[self.rows(names)], self.source, self.notes)

    def unit(self) -> Float32:
        """Rows divided by their Euclidean norm, of shape (n_rows, n_features).

        Raises
        ------
        DegenerateDataError
            If a row is zero and so has no direction; `select` rows without it.
        """
        if zeros := zero_rows(self.matrix):
            raise DegenerateDataError(
                f"the rows of {self.source} named {listed([self.names[i] for i in zeros])} are "
                "zero and have no direction; leave these names out"
            )
        wide = self.matrix.astype(np.float64)  # squares of float32 can overflow and underflow
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        return wide.astype(np.float32)

    def summary(self) -> str:
        """One line, and one for each note."""
        first = f"{len(self)} vectors of {self.n_features} features from {self.source}"
        return "\n".join([first, *self.notes])

    @property
    def _rows_a_block(self) -> int:
        return max(1, _BLOCK // self.n_features)

    def _check_names(self) -> None:
        for row, name in enumerate(self.names):
            wrong = "is empty" if not name else "holds a NUL byte" if "\0" in name else ""
            if wrong or (not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name)):
                raise DataError(
                    f"the name of row {row} of {self.source} {wrong or 'is no valid Unicode'}; "
                    "needed a text"
                )
        if len(self.row_of) < len(self):
            row = next(i for i, name in enumerate(self.names) if self.row_of[name] != i)
            name = self.names[row]
            again = self.names.index(name, row + 1)
            raise DataError(
                f"{self.source} names both row {row} and row {again} {name!r}; needed each name "
                "once: rename one of them"
            )

    def _check_finite(self) -> None:
        step, wrong = self._rows_a_block, []
        for start in range(0, len(self), step):
            finite = np.isfinite(self.matrix[start : start + step]).all(axis=1)
            wrong += (start + np.flatnonzero(~finite)).tolist()
        if wrong:
            shown = listed([f"{row} ({self.names[row]!r})" for row in wrong], quote=False)
            raise DataError(
                f"{self.source} holds NaN, infinity or numbers beyond float32 in row {shown}; "
                "mend or leave out these rows"
            )


def zero_rows(matrix: npt.NDArray[Any]) -> list[int]:
    """Rows in which every number is 0."""
    return [int(row) for row in np.flatnonzero(~matrix.any(axis=1))]


def listed(names: Sequence[str], *, quote: bool = True) -> str:
    """The first five names, and how many more there are."""
    shown = [repr(name) if quote else name for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
