"""Which shares are asked for: one mix for all subjects, or a table by subject."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.errors import DataError
from probe.io.parsing import parse_toml


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
                    "one a value"
                )
            if not (shares >= 0).all() or not np.isclose(shares.sum(), 1.0):
                raise DataError(
                    f"the target shares of {name} are {shares.tolist()}; needed numbers from 0 to "
                    "1 that sum to 1"
                )

    @classmethod
    def parity(cls, n_values: int) -> Target:
        """Ask for as much of each value."""
        return cls(np.full(n_values, 1 / n_values))

    @classmethod
    def read(cls, path: Path, values: Sequence[str]) -> Target:
        """Read a table of shares by subject (TOML).

        ``values = ["woman", "man"]``, ``default = [0.5, 0.5]`` and, in ``[subjects]``, lines like
        ``nurse = [0.3, 0.7]``.

        Parameters
        ----------
        path : Path
        values : sequence of str
            The values there are, in the order that the shares are wanted in.

        Raises
        ------
        DataError
            If the file cannot be read, names other values, or a row is not one share a value of
            sum 1.
        """
        try:
            data = parse_toml(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DataError(
                f"the target {path} cannot be read ({error}); needed parity, labour, a share or "
                "a TOML file"
            ) from error
        named = data.get("values")
        if not isinstance(named, list) or sorted(map(str, named)) != sorted(values):
            raise DataError(
                f"{path}: values is {named}; needed the {len(values)} values {list(values)}"
            )
        order = [named.index(value) for value in values]

        def shares(name: str, row: Any) -> Double:
            numbers = isinstance(row, list) and all(type(x) in (int, float) for x in row)
            if not numbers or len(row) != len(values):
                raise DataError(
                    f"{path}: {name} is {row}; needed {len(values)} numbers, one a value"
                )
            return np.array(row, dtype=np.float64)[order]

        subjects = data.get("subjects", {})
        if not isinstance(subjects, dict):
            raise DataError(f"{path}: subjects is {subjects!r}; needed a table [subjects]")
        default = data.get("default", [1 / len(values)] * len(values))
        return cls(
            shares("default", default),
            {str(name): shares(str(name), row) for name, row in subjects.items()},
        )

    def of(self, prompt: str) -> Double:
        """Find the shares asked for under a prompt: those of the longest subject it names."""
        named = [
            subject
            for subject in self.by_subject
            if re.search(rf"\b{re.escape(subject)}\b", prompt, flags=re.IGNORECASE)
        ]
        return self.by_subject[max(named, key=len)] if named else self.default
