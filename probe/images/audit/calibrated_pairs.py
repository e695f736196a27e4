"""Two models seen by one classifier: the difference of their fairness without its errors."""

from __future__ import annotations

import numpy as np

from probe.errors import ShapeError
from probe.images.audit.calibration import Calibration, rogan_gladen, usable_rates
from probe.images.fairness import Interval, centered_interval
from probe.images.measures import Counts, Double, as_counts, as_target, measure_shares


def calibrated_difference(
    before: Counts,
    after: Counts,
    calibration: Calibration,
    *,
    measure: str = "mad",
    target: Double | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Interval:
    """Compare the fairness of two models on the same subjects, by shares that are corrected.

    In each replicate subjects and the classifier's rates are drawn anew, the same for both
    models, and then the pictures of each. One set of rates serves both: whether the classifier
    errs alike on what a correction draws is an assumption that the labelled sample must earn, by
    holding pictures of both.

    Parameters
    ----------
    before, after : ndarray of int, shape (n_subjects, K)
        What the classifier saw; row i of both is the same subject.
    calibration : Calibration
    measure, target, n_bootstrap, seed
        As for `probe.images.fairness.paired_difference`.

    Returns
    -------
    Interval
        Second model minus first; negative means that the second is fairer.

    Raises
    ------
    ShapeError, DataError
        If the counts are no tables of counts of the same shape.
    DegenerateDataError
        If the classifier is hardly better than a guess.
    """
    tables = [as_counts(before), as_counts(after)]
    if tables[0].shape != tables[1].shape:
        raise ShapeError(
            f"the counts have the shapes {tables[0].shape} and {tables[1].shape}; needed the same "
            "subjects and values in both"
        )
    fair, n_subjects = as_target(target, tables[0].shape), len(tables[0])
    rates, rng = usable_rates(calibration.rates), np.random.default_rng(seed)
    totals = [table.sum(axis=1) for table in tables]
    shares = [table / total[:, None] for table, total in zip(tables, totals, strict=True)]
    rows = [measure_shares(rogan_gladen(seen, rates), fair)[measure] for seen in shares]
    change = rows[1] - rows[0]  # (n_subjects,)
    drawn, alone = np.empty(n_bootstrap), np.empty(n_bootstrap)
    for draw, drawn_rates in enumerate(calibration.draw(n_bootstrap, rng)):
        chosen = rng.integers(n_subjects, size=n_subjects)
        first, second = (
            rng.multinomial(total[chosen], seen[chosen]) / total[chosen, None]
            for total, seen in zip(totals, shares, strict=True)
        )
        ends = (
            measure_shares(rogan_gladen(of, drawn_rates), fair[chosen])[measure].mean()
            for of in (first, second)
        )
        drawn[draw] = -np.subtract(*ends)
        alone[draw] = change[chosen].mean()
    return centered_interval(float(change.mean()), drawn, alone, n_subjects=n_subjects)
