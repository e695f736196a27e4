"""Target shares of the values: the same for all subjects, or a table by subject."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from probe.arrays import Double
from probe.errors import DataError
from probe.io.toml_tables import TomlTable


@dataclass(frozen=True, eq=False)
class Target:
    """Shares of K values, by subject."""

    default: Double
    """Shape (K,), of sum 1: for subjects that are not named."""
    by_subject: Mapping[str, Double] = field(default_factory=dict)
    """Shape (K,) each, of sum 1."""

    def __post_init__(self) -> None:
        for name, shares in (("default", self.default), *self.by_subject.items()):
            if shares.shape != self.default.shape:
                raise DataError(
                    f"the target of {name} has {shares.size} shares; needed {self.default.size}, "
                    "one per value"
                )
            if not (shares >= 0).all() or not np.isclose(shares.sum(), 1.0):
                raise DataError(
                    f"the target shares of {name} are {shares.tolist()}; needed numbers from 0 to "
                    "1 that sum to 1"
                )

    @classmethod
    def parity(cls, n_values: int) -> Target:
        """Make the target of equal shares."""
        return cls(np.full(n_values, 1 / n_values))

    @classmethod
    def read(cls, path: Path, values: Sequence[str], *instead: Sequence[str]) -> Target:
        """Read shares by subject (TOML, ``docs/files.md``), in the order of ``values``.

        The table may have other values ``instead``.
        """
        if not path.is_file():
            raise DataError(
                f"there is no target {path}; needed parity, labour, a share or a TOML file"
            )
        table = TomlTable.read(path, "target")
        named = table.strings("values")
        values = next((of for of in instead if sorted(of) == sorted(named)), values)
        if sorted(named) != sorted(values):
            raise table.wrong("values", f"is {list(named)}", f"the values {list(values)}")
        order = [named.index(value) for value in values]

        def shares(of: TomlTable, key: str) -> Double:
            return np.array(of.numbers(key, len(values)))[order]

        default = np.full(len(values), 1 / len(values))
        subjects = table.table("subjects") if "subjects" in table.data else None
        return cls(
            shares(table, "default") if "default" in table.data else default,
            {} if subjects is None else {name: shares(subjects, name) for name in subjects.data},
        )

    def of(self, prompt: str) -> Double:
        """Return the target shares of a prompt: those of the longest subject that it names."""
        named = [
            subject
            for subject in self.by_subject
            if re.search(rf"\b{re.escape(subject)}\b", prompt, flags=re.IGNORECASE)
        ]
        return self.by_subject[max(named, key=len)] if named else self.default
