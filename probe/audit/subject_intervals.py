"""Intervals of figures that are means over subjects, each of which is known by counts alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import SQUARES
from probe.stats.confidence_limits import COVERAGE, student, widened
from probe.stats.interval import TestedInterval
from probe.stats.mean import studentised_interval
from probe.stats.resampling import CHUNK_SIZE, Resampling

Figure = Callable[[Sequence[Double], Double], Mapping[str, Double]]
"""Shares of each table, (..., n_subjects, K), and the target -> figures, (..., n_subjects)."""

_N_ALONE = 16_000  # subjects drawn to learn what images alone contribute: known to 1 %


def interval_over_subjects(
    tables: Sequence[Counts],
    fair: Double,
    figure: Figure,
    *,
    resampling: Resampling,
    unit: str = "subjects",
) -> dict[str, TestedInterval]:
    """Return the means of figures over subjects, with studentised two-level bootstrap intervals.

    Row i of each table, (n_subjects, K), is the same subject, whose fair shares are row i of
    ``fair``. Subjects are drawn with replacement, the same for all tables, then the images of each
    from `shrunken_shares`. Every replicate's mean is measured in its own standard error
    (`probe.stats.mean.studentised_interval`), which the long tail of a figure such as KL
    needs; the interval is never narrower than Student's, and of a figure that is about a square
    (`SQUARES`), whose error grows with it, the limit away from 0 is no nearer than Student's for
    its logarithm. The spread over subjects is taken to be no smaller than what their images
    alone would give: ten subjects that happen to agree are not known to be alike.

    The interval covers the figure that subjects like these have at these numbers of images. Of
    a single subject only the images are drawn. The p-value against 0 is of the same bootstrap,
    so that it is at most 0.05 just where the interval excludes 0.

    References
    ----------
    Hall, *The Bootstrap and Edgeworth Expansion* (1992), section 3.5; Davison and Hinkley,
    *Bootstrap Methods and their Application* (1997), sections 3.8 and 5.2.
    """
    n_subjects, n_values = fair.shape
    rng = resampling.rng()
    totals = [table.sum(axis=1) for table in tables]
    likely = [shrunken_shares(table) for table in tables]
    rows = figure([t / n[:, None] for t, n in zip(tables, totals, strict=True)], fair)

    def redrawn(chosen: Counts) -> Mapping[str, Double]:
        """Figures of subjects ``chosen``, (n_draws, n_subjects), with images drawn anew."""
        shares = [
            rng.multinomial(n[chosen], p[chosen]) / n[chosen][..., None]
            for n, p in zip(totals, likely, strict=True)
        ]
        return figure(shares, fair[chosen])

    size = max(20, _N_ALONE // n_subjects), n_subjects
    themselves = np.broadcast_to(np.arange(n_subjects), size)
    alone = {name: found.var(axis=0).mean() for name, found in redrawn(themselves).items()}
    means: dict[str, list[Double]] = {name: [] for name in rows}
    spreads: dict[str, list[Double]] = {name: [] for name in rows}
    chunk = max(1, CHUNK_SIZE // (n_subjects * n_values))
    for start in range(0, resampling.n, chunk):
        size = min(chunk, resampling.n - start), n_subjects
        for name, found in redrawn(rng.integers(n_subjects, size=size)).items():
            means[name].append(found.mean(axis=1))
            spreads[name].append(found.std(axis=1, ddof=1) if n_subjects > 1 else found[:, 0])
    intervals = {}
    for name, of_subjects in rows.items():
        value, drawn = float(of_subjects.mean()), np.concatenate(means[name])
        moved = drawn - drawn.mean()
        if n_subjects == 1:
            intervals[name] = _of_images(value, moved, unit)
            continue
        spread = max(float(of_subjects.std(ddof=1)), float(np.sqrt(alone[name])))
        tested = studentised_interval(
            value, spread, n_subjects, moved, np.concatenate(spreads[name]), unit=unit
        )
        if name in SQUARES:
            half = student(n_subjects - 1) * spread / math.sqrt(n_subjects)
            far = value + math.copysign(half * widened(half, value), value)
            tested = replace(tested, low=min(tested.low, far), high=max(tested.high, far))
        intervals[name] = tested
    return intervals


def _of_images(value: float, moved: Double, unit: str) -> TestedInterval:
    """Percentile interval of a single subject, whose images alone are drawn."""
    low, high = np.quantile(moved, COVERAGE)
    beyond = (value + moved <= 0).mean() if value > 0 else (value + moved >= 0).mean()
    p = min(1.0, 2 * max(float(beyond), 1 / (len(moved) + 1)))
    return TestedInterval(value, value + float(low), value + float(high), unit, 1, p)


def shrunken_shares(counts: Counts) -> Double:
    """Shrink the shares of subjects to their mean by as much of their spread as is chance.

    ``(n rho p + (1 - rho) q) / (n rho + 1 - rho)`` for a subject of n images and shares p, with
    the shares q of all images and the correlation rho of two images of one subject: the
    posterior mean where shares are Dirichlet distributed, rho by moments. Images that are drawn
    from shares as observed would scatter by chance twice. One image, the K-th part of it of
    each value, is added to every subject: what was not seen may still be there. The result is
    positive, shape (n_subjects, K).

    References
    ----------
    Mosimann, *On the compound multinomial distribution, the multivariate beta-distribution, and
    correlations among proportions*, Biometrika 49 (1962); Kleinman, *Proportions with extraneous
    variance: single and independent samples*, JASA 68 (1973); Perks, *Some observations on inverse
    probability including a new indifference rule*, J. Institute of Actuaries 73 (1947).
    """
    n_subjects, n_values = counts.shape
    n = counts.sum(axis=1, keepdims=True)  # (n_subjects, 1)
    pooled = counts.sum(axis=0) / n.sum()
    rho, seen = 0.0, pooled > 0
    freedom = (n_subjects - 1) * (int(seen.sum()) - 1)
    if freedom > 0 and n.max() > 1:
        expected = n * pooled[seen]
        chi2 = float(((counts[:, seen] - expected) ** 2 / expected).sum())
        typical = float((n.sum() - (n**2).sum() / n.sum()) / (n_subjects - 1))
        rho = float(np.clip((chi2 / freedom - 1) / max(typical - 1, 1e-9), 0.0, 1.0))
    shrunken = (rho * counts + (1 - rho) * pooled) / (n * rho + 1 - rho)
    likely: Double = (n * shrunken + 1 / n_values) / (n + 1)
    return likely
