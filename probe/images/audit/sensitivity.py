"""How wrong a classifier may be before a conclusion falls, where nobody has measured its errors."""

from __future__ import annotations

import numpy as np

from probe.errors import ShapeError
from probe.images.fairness import FairnessFigure
from probe.images.measures import Counts, Double, as_counts, as_target

_STEP = 0.005
_LARGEST = 0.45  # two error rates that sum to 1 leave nothing to be told


def holds_up_to(
    counts: Counts, figure: FairnessFigure, *, target: Double | None = None
) -> float | None:
    """Give the error rates up to which "less fair than chance" stands, whatever they are.

    A classifier sees true value 0 as 1 at a rate a, and 1 as 0 at a rate b. For each pair up to
    x, the shares are corrected for it (see `probe.images.audit.calibration.rogan_gladen`), and the
    conclusion stands if the lower end of MAD is above the noise floor, both stretched by
    ``1 / (1 - a - b)``, as the correction stretches noise. The answer is the largest x for which it
    stands at every pair. Error that is the same both ways only hides unfairness; what breaks a
    conclusion is error one way.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, 2)
    figure : FairnessFigure
        MAD of the counts, with its interval and floor.
    target : ndarray, optional
        As for `probe.images.fairness.fairness_figures`.

    Returns
    -------
    float or None
        From 0 to 0.45, in steps of 0.005; None if the figure is not above chance to begin with.

    Raises
    ------
    ShapeError
        If the attribute has not two values: then there are too many ways to err.
    """
    counts = as_counts(counts)
    if counts.shape[1] != 2:
        raise ShapeError(f"the attribute has {counts.shape[1]} values; needed 2")
    if figure.low <= figure.floor:
        return None
    fair, seen = as_target(target, counts.shape)[:, 0], counts[:, 0] / counts.sum(axis=1)
    rates = np.arange(0.0, _LARGEST + _STEP / 2, _STEP)
    a, b = np.meshgrid(rates, rates, indexing="ij")
    kept = 1 - a - b  # (n_rates, n_rates)
    true = np.clip((seen[:, None, None] - b) / kept, 0.0, 1.0)
    mad = np.abs(true - fair[:, None, None]).mean(axis=0)
    stands = mad - (figure.value - figure.low) / kept > figure.floor / kept
    # the largest square from the corner in which it stands everywhere
    n_steps = next(
        (size for size in range(1, len(rates)) if not stands[: size + 1, : size + 1].all()),
        len(rates),
    )
    return float(rates[n_steps - 1])
