"""How a classifier errs: counted on a sample whose truth is known, and read from its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.readers.labels import read_frame
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
    """Read a labelled sample (``docs/files.md``), of which rows with nothing seen are left out."""
    frame = read_frame(path).rename(columns=str.lower)
    if "true" not in frame or "seen" not in frame:
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}; needed `true` and `seen`, and "
            "if you like `count`"
        )
    numbers = frame["count"] if "count" in frame else ["1"] * len(frame)
    code = {value: place for place, value in enumerate(values)}
    confusion = np.zeros((len(code), len(code)), dtype=np.int64)
    for place, *pair, count in zip(frame.index, frame["true"], frame["seen"], numbers, strict=True):
        if any(value not in code and missing_reason(value) for value in pair):
            continue
        for value in pair:
            if value not in code:
                raise DataError(
                    f"{path}, {place}, holds {value!r}{nearest(value, code)}; needed one of "
                    f"{', '.join(code)}"
                )
        if not count.isdigit():
            raise DataError(f"{path}, {place}, has the count {count!r}; needed a whole number")
        confusion[code[pair[0]], code[pair[1]]] += int(count)
    if (empty := np.flatnonzero(confusion.sum(axis=1) == 0)).size:
        raise DataError(
            f"{path} holds no image that truly shows {values[empty[0]]!r}; needed some of each "
            "value"
        )
    return Calibration(list(values), confusion)
