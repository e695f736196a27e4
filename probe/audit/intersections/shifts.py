"""What a correction does to each cell: shares before and after, subject by subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.subject_intervals import interval_over_subjects
from probe.errors import DataError, ShapeError
from probe.stats.resampling import BOOTSTRAP, Resampling


@dataclass(frozen=True)
class Shift:
    """How the share of one cell moves, on average over subjects."""

    before: float
    after: float
    value: float
    """After minus before."""
    low: float
    """Lower limit of the 95 % interval over subjects."""
    high: float
    p: float
    """Two-sided; at most 0.05 just where the interval excludes 0."""
    n_subjects: int


def cell_shifts(
    before: Counts, after: Counts, *, resampling: Resampling = BOOTSTRAP
) -> list[Shift]:
    """Compare the share of every cell between two models on the same subjects.

    ``mean_s(after_s - before_s)`` of a cell's share among the pictures of subject s, with the
    interval of `probe.audit.subject_intervals.interval_over_subjects`.

    Parameters
    ----------
    before, after : ndarray of int, shape (n_subjects, n_cells)
        Counts of the first and the second model; row i of both is the same subject.
    resampling : Resampling

    Returns
    -------
    list of Shift
        One a cell; the p-values are not adjusted. 0 means that the cell keeps its share.

    Raises
    ------
    ShapeError
        If the counts are no tables of the same shape.
    DataError
        If a subject has no picture.
    """
    if before.ndim != 2 or before.shape != after.shape:
        raise ShapeError(
            f"the counts have the shapes {before.shape} and {after.shape}; needed the same "
            "(n_subjects, n_cells)"
        )
    if not len(before) or min(before.sum(axis=1).min(), after.sum(axis=1).min()) < 1:
        raise DataError("a subject has no picture on one side; needed at least 1 on both")
    shares = [counts / counts.sum(axis=1, keepdims=True) for counts in (before, after)]
    cells = [str(cell) for cell in range(before.shape[1])]

    def change(drawn: Sequence[Double], _: Double) -> dict[str, Double]:
        return dict(zip(cells, np.moveaxis(drawn[1] - drawn[0], -1, 0), strict=True))

    fair = np.full(before.shape, 1 / before.shape[1])
    found = interval_over_subjects([before, after], fair, change, resampling=resampling)
    return [
        Shift(
            before=float(shares[0][:, cell].mean()),
            after=float(shares[1][:, cell].mean()),
            value=found[name].value,
            low=max(found[name].low, -1.0),
            high=min(found[name].high, 1.0),
            p=found[name].p,
            n_subjects=len(before),
        )
        for cell, name in enumerate(cells)
    ]
