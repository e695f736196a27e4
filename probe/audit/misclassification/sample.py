"""How a classifier errs: counted on a sample whose truth is known, and read from its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.readers.labels import read_rows
from probe.errors import DataError
from probe.images.missing_labels import missing_reason
from probe.io.lines import nearest

JEFFREYS = 0.5
"""Prior of a share: one of which no case was seen is not known to be 0."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """How a classifier errs, counted on a sample whose truth is known."""

    values: list[str]
    confusion: Counts
    """Images of true value i that were seen as value j, shape (K, K); every row has some."""

    @property
    def rates(self) -> Double:
        """How often true value i is seen as value j; rows sum to 1."""
        return np.asarray(self.confusion / self.confusion.sum(axis=1, keepdims=True))

    def draw(
        self, n_draws: int, rng: np.random.Generator, *, prior: Double | float = JEFFREYS
    ) -> Double:
        """Draw rates that the sample allows, (n_draws, K, K): Dirichlet, with a prior by cell."""
        gamma = rng.gamma(self.confusion + prior, size=(n_draws, *self.confusion.shape))
        return np.asarray(gamma / gamma.sum(axis=2, keepdims=True))


def read_calibration(path: Path, *, values: Sequence[str]) -> Calibration:
    """Read a labelled sample: columns ``true`` and ``seen``, a row an image, or with ``count``.

    Rows in which nothing was seen are left out, as they are from the counts.
    """
    columns, rows = read_rows(path)
    names = [name.lower() for name in columns]
    if "true" not in names or "seen" not in names:
        raise DataError(
            f"{path} has the columns {', '.join(columns)}; needed `true` and `seen`, and "
            "if you like `count`"
        )
    true, seen = names.index("true"), names.index("seen")
    number = names.index("count") if "count" in names else None
    code = {value: place for place, value in enumerate(values)}
    confusion = np.zeros((len(code), len(code)), dtype=np.int64)
    for place, row in rows:
        pair = [str(row[column] or "").strip() for column in (true, seen)]
        if any(value not in code and missing_reason(value) for value in pair):
            continue
        for value in pair:
            if value not in code:
                raise DataError(
                    f"{path}, {place}, holds {value!r}{nearest(value, code)}; needed one of "
                    f"{', '.join(code)}"
                )
        count = 1 if number is None else _count(path, place, row[number])
        confusion[code[pair[0]], code[pair[1]]] += count
    if (empty := np.flatnonzero(confusion.sum(axis=1) == 0)).size:
        raise DataError(
            f"{path} holds no image that truly shows {values[empty[0]]!r}; needed some of each "
            "value"
        )
    return Calibration(list(values), confusion)


def _count(path: Path, place: str, value: object) -> int:
    text = str(value).strip()
    if not text.isdigit():
        raise DataError(f"{path}, {place}, has the count {text!r}; needed a whole number")
    return int(text)
