"""Two models seen by one classifier: the difference of their fairness without its errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import as_counts, as_target, measure_shares, worst_figures
from probe.audit.misclassification.corrected import limits_by_rates, rogan_gladen, usable_rates
from probe.audit.misclassification.sample import Calibration
from probe.audit.subject_intervals import Figure, interval_over_subjects
from probe.errors import ShapeError
from probe.stats.interval import Interval, joined_limits
from probe.stats.resampling import BOOTSTRAP, Resampling


def calibrated_difference(
    before: Counts,
    after: Counts,
    calibration: Calibration,
    *,
    measure: str = "mad",
    target: Double | None = None,
    resampling: Resampling = BOOTSTRAP,
    unit: str = "subjects",
) -> Interval:
    """Compare the fairness of two models on the same subjects, by shares that are corrected.

    In each replicate subjects are drawn anew, the same for both models, and then the pictures of
    each; what the classifier's rates contribute is added as `calibrated_figures` does it. One set
    of rates serves both: whether the classifier errs alike on what a correction draws is an
    assumption that the labelled sample must earn, by holding pictures of both.

    Parameters
    ----------
    before, after : ndarray of int, shape (n_subjects, K)
        What the classifier saw; row i of both is the same subject.
    calibration : Calibration
    measure, target, resampling, unit
        As for `probe.audit.fairness.paired_difference`.

    Returns
    -------
    Interval
        Second model minus first; negative means that the second is fairer.

    Raises
    ------
    ShapeError, DataError
        If the counts are no tables of counts of the same shape.
    DegenerateDataError
        As `usable_rates`.
    """
    tables = [as_counts(before), as_counts(after)]
    if tables[0].shape != tables[1].shape:
        raise ShapeError(
            f"the counts have the shapes {tables[0].shape} and {tables[1].shape}; needed the same "
            "subjects and values in both"
        )
    fair = as_target(target, tables[0].shape)
    rates, rng = usable_rates(calibration), np.random.default_rng([resampling.seed, 1])

    def change_by(rates: Double) -> Figure:
        def change(shares: Sequence[Double], target: Double) -> dict[str, Double]:
            first, second = (
                measure_shares(rogan_gladen(of, rates), target)[measure] for of in shares
            )
            return {measure: second - first}

        return change

    found = interval_over_subjects(tables, fair, change_by(rates), resampling=resampling, unit=unit)
    by_rates = limits_by_rates(tables, calibration, fair, change_by, resampling.n, rng)
    worst = worst_figures(fair)[measure]
    return joined_limits(found[measure], by_rates[measure]).clipped(-worst, worst)
