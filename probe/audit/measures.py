"""Measures of how far shares are from fair, and what each of them scores by chance."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from probe.arrays import Counts, Double
from probe.errors import DataError, ShapeError
from probe.images.missing_labels import MISSING

MEASURES = ("mad", "fd", "kl")
SQUARES = ("kl",)
"""Measures that are about the square of a distance."""

_N_DRAWS = 20_000


def measure_shares(shares: Double, target: Double) -> dict[str, Double]:
    """Measure how far shares are from a target, row by row.

    With the shares p of K values and the positive target t (1/K each is the uniform one), both of
    shape (..., K) with rows of sum 1:

    - ``mad`` ``= mean_k |p_k - t_k|``; for two values ``|p - 1/2|``
    - ``fd`` ``= ||p - t||_2``
    - ``kl`` ``= sum_k p_k log(p_k / t_k)``, in nats

    Each has the shape (...); 0 means that the shares are the target.

    References
    ----------
    ``mad`` over two values is most probably the figure of arXiv 2407.11002, whose formula is not
    public; ``fd`` is the fairness discrepancy of Choi et al., *Fair Generative Modeling via Weak
    Supervision*, ICML 2020.
    """
    deviation = shares - target
    distance = np.abs(deviation)
    ratio = np.where(shares > 0, shares / target, 1.0)  # p log p is 0 at p = 0
    return {
        "mad": distance.mean(axis=-1),
        "fd": np.sqrt((deviation**2).sum(axis=-1)),
        "kl": np.maximum((shares * np.log(ratio)).sum(axis=-1), 0.0),
    }


def worst_figures(fair: Double) -> dict[str, float]:
    """Give the largest mean over subjects that each measure can have, at targets (n_subjects, K).

    All are convex in the shares: none is larger than where one value has all of them.
    """
    corners = measure_shares(np.eye(fair.shape[1])[:, None, :], fair)  # (K, n_subjects)
    return {name: float(found.max(axis=0).mean()) for name, found in corners.items()}


def count_labels(
    subjects: Sequence[str], labels: Sequence[str], *, values: Sequence[str]
) -> tuple[list[str], Counts]:
    """Count how often each value of an attribute was seen in the images of each subject.

    Returned are the subjects in the order of their first image, and counts (n_subjects, n_values).
    An image whose label is one of `probe.images.missing_labels.MISSING` is not counted.
    """
    if unknown := sorted(set(labels) - set(values) - set(MISSING)):
        raise DataError(f"labels hold {unknown}; needed only {list(values)}")
    rows = {name: row for row, name in enumerate(dict.fromkeys(subjects))}
    columns = {value: column for column, value in enumerate(values)}
    counts = np.zeros((len(rows), len(values)), dtype=np.int64)
    for name, label in zip(subjects, labels, strict=True):
        if label in columns:
            counts[rows[name], columns[label]] += 1
    return list(rows), counts


def noise_floor(
    n_images: int, n_values: int = 2, *, target: Double | None = None, seed: int = 0
) -> dict[str, float]:
    """Compute what a perfectly fair model scores on one subject with finitely many images.

    The expected value of each measure of `measure_shares` when the counts are multinomial with
    the target shares, 1/K each by default. Exact, but for ``fd`` of more than two values, which is
    the mean of 20,000 simulated models (to about 0.5 %). ``mad`` of two values is 0.123 for 10
    images and 0.028 for 200.
    """
    if n_images < 1:
        raise ValueError(f"n_images is {n_images}; needed at least 1")
    fair = as_target(target, (1, n_values))
    return dict(_floor(int(n_images), tuple(fair[0].tolist()), seed))


def as_counts(counts: Counts) -> Counts:
    """Return a table of counts of shape (n_subjects, K) as integers, or say why it is none."""
    found = np.asarray(counts)
    if found.ndim != 2 or found.shape[0] < 1 or found.shape[1] < 2:
        raise ShapeError(
            f"counts have the shape {found.shape}; needed (n_subjects, n_values) with at least 1 "
            "subject and 2 values"
        )
    if not np.issubdtype(found.dtype, np.number) or not (found == np.floor(found)).all():
        raise DataError(
            "counts hold something that is not a whole number; needed numbers of images"
        )
    if (found < 0).any():
        raise DataError(f"counts hold {found.min()}; needed numbers of images, at least 0")
    if (empty := np.flatnonzero(found.sum(axis=1) == 0)).size:
        raise DataError(
            f"{empty.size} of {len(found)} subjects have no image (the first is row {empty[0]}); "
            "drop them or make their images"
        )
    return found.astype(np.int64)


def as_pair(first: Counts, second: Counts) -> list[Counts]:
    """Return two tables of counts of the same subjects and values as integers."""
    tables = [as_counts(first), as_counts(second)]
    if tables[0].shape != tables[1].shape:
        raise ShapeError(
            f"the counts have the shapes {tables[0].shape} and {tables[1].shape}; needed the same "
            "subjects and values in both"
        )
    return tables


def as_target(target: Double | None, shape: tuple[int, ...]) -> Double:
    """Return fair shares of the given shape (n_subjects, K), uniform if there is no target."""
    if target is None:
        return np.full(shape, 1 / shape[1])
    fair: Double = np.asarray(target, dtype=np.float64)
    if fair.shape not in (shape, shape[1:]):
        raise ShapeError(f"target has shape {fair.shape}; needed {shape[1:]} or {shape}")
    if not ((fair > 0) & (fair < np.inf)).all() or not np.allclose(fair.sum(axis=-1), 1.0):
        raise ValueError("target holds no shares; needed positive numbers that sum to 1")
    return np.broadcast_to(fair, shape)


@lru_cache(maxsize=4096)
def _floor(n_images: int, target: tuple[float, ...], seed: int) -> dict[str, float]:
    distances, terms = np.array([_marginal(n_images, share) for share in target]).T
    if len(target) == 2:  # both deviations are equally large
        distance = float(np.sqrt(2) * distances[0])
    else:
        rng = np.random.default_rng(seed)
        deviations = rng.multinomial(n_images, target, size=_N_DRAWS) / n_images - target
        distance = float(np.sqrt((deviations**2).sum(axis=1)).mean())
    return {"mad": float(distances.mean()), "fd": distance, "kl": float(terms.sum())}


@lru_cache(maxsize=4096)
def _marginal(n_images: int, share: float) -> tuple[float, float]:
    """Expected ``|p - t|`` and ``p log(p / t)`` of one value whose fair share t is ``share``.

    Of many images only the hits within 12 standard deviations (and 40) of the mean are summed;
    by Bernstein's inequality the others are less probable than 1e-30.
    """
    from scipy.stats import binom

    mean, reach = n_images * share, 12 * np.sqrt(n_images * share * (1 - share)) + 40
    hits = np.arange(max(0, int(mean - reach)), min(n_images, int(mean + reach) + 1) + 1)
    weights, p = binom.pmf(hits, n_images, share), hits / n_images
    terms = p * np.log(np.where(p > 0, p / share, 1.0))
    return float(weights @ np.abs(p - share)), float(weights @ terms)
