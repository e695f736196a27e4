"""How often a classifier may err before a conclusion falls, if its errors are not measured."""

import numpy as np

from probe.arrays import Counts, Double, Mask
from probe.audit.fairness import FairnessFigure
from probe.audit.measures import as_counts, as_target
from probe.errors import ShapeError
from probe.stats.interval import Interval

_STEP = 0.005
_LARGEST = 0.45  # two error rates that sum to 1 leave no information
_RATES = np.arange(0.0, _LARGEST + _STEP / 2, _STEP)


def holds_up_to(
    counts: Counts, figure: FairnessFigure, *, target: Double | None = None
) -> float | None:
    """Give the error rates up to which "less fair than chance" stands, whatever they are.

    A classifier sees true value 0 as 1 at a rate a, and 1 as 0 at a rate b. For each pair up to
    x, the shares are corrected for it (see `rogan_gladen`), and the conclusion stands if the lower
    limit of MAD is above the noise floor, both stretched by ``1 / (1 - a - b)``, as the correction
    stretches noise. Error that is the same both ways only hides unfairness; what breaks a
    conclusion is error one way.

    ``figure`` is MAD of the counts, shape (n_subjects, 2), with its interval and floor. The largest
    x for which the conclusion stands at every pair goes from 0 to 0.45 in steps of 0.005; it is
    None if the figure is not above chance to begin with.
    """
    mad, kept = _mad_by_error(as_counts(counts), target)
    if figure.low <= figure.floor:
        return None
    stands = mad - (figure.value - figure.low) / kept > figure.floor / kept
    return _largest(stands)


def difference_holds_up_to(
    before: Counts, after: Counts, difference: Interval
) -> tuple[float, float] | None:
    """Give the error rates up to which a change of MAD keeps its sign, whatever they are.

    As `holds_up_to`, of the conclusion that the interval of the ``difference``, MAD of ``after``
    minus that of ``before``, does not reach 0. A classifier may err ``alike`` in the images of both
    models, or have other rates for each (``unlike``, never the larger): a correction may change
    what confuses it. None if the interval reaches 0 to begin with.
    """
    (mad_before, kept), (mad_after, _) = (
        _mad_by_error(as_counts(of), None) for of in (before, after)
    )
    if difference.low <= 0 <= difference.high:
        return None
    sign, limit = (1, difference.low) if difference.low > 0 else (-1, difference.high)
    reach = abs(difference.value - limit)
    alike = _largest(sign * (mad_after - mad_before) > reach / kept)
    # the worst pair of rates for each side, of all up to x
    lower, higher = (mad_before, mad_after) if sign == 1 else (mad_after, mad_before)
    sizes = range(1, len(kept) + 1)
    worst = np.array([higher[:n, :n].min() - lower[:n, :n].max() for n in sizes])
    falls = np.flatnonzero(worst <= reach / np.diag(kept))
    unlike = float(_RATES[(falls[0] if falls.size else len(kept)) - 1])
    return alike, min(alike, unlike)


def _mad_by_error(counts: Counts, target: Double | None) -> tuple[Double, Double]:
    """MAD without errors of each pair of rates, and what they leave, ``1 - a - b``."""
    if counts.shape[1] != 2:
        raise ShapeError(f"the attribute has {counts.shape[1]} values; needed 2")
    fair, seen = as_target(target, counts.shape)[:, 0], counts[:, 0] / counts.sum(axis=1)
    a, b = np.meshgrid(_RATES, _RATES, indexing="ij")
    kept = 1 - a - b  # (n_rates, n_rates)
    true = np.clip((seen[:, None, None] - b) / kept, 0.0, 1.0)
    mad: Double = np.abs(true - fair[:, None, None]).mean(axis=0)
    return mad, kept


def _largest(stands: Mask) -> float:
    """The rate of the largest square from the corner in which a conclusion stands everywhere."""
    n_steps = next(
        (size for size in range(1, len(_RATES)) if not stands[: size + 1, : size + 1].all()),
        len(_RATES),
    )
    return float(_RATES[n_steps - 1])
