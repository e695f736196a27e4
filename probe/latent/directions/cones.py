"""How certain a bias axis is: its bootstrap cone, its agreement with others, its stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone

from probe.arrays import Double, Matrix, Vector
from probe.errors import DataError, DegenerateDataError
from probe.latent.directions import (
    AxisEstimator,
    BiasDirection,
    PairDirection,
    as_pairs,
    as_vector,
    rounding,
)
from probe.latent.labels import Labels, as_codes
from probe.stats.resampling import Resampling, resampled_counts

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class DirectionCone:
    """How far a bias axis moves when the pairs it was fitted on are drawn anew."""

    angles: Double = field(repr=False)
    """Shape (n_draws,): degrees between each resampled axis and the full one, ascending."""
    median: float
    """Half of the resampled axes are nearer than this, in degrees; 0 means that none moves."""
    high: float
    """95 % of the resampled axes are nearer than this, in degrees."""
    n_pairs: int
    n_clusters: int
    """Units that were drawn; equal to ``n_pairs`` if each pair was its own."""


REFITS = Resampling(1000)
"""Default of `direction_cone`."""


def direction_cone(
    estimator: AxisEstimator,
    male: Matrix,
    female: Matrix,
    *,
    clusters: Labels | None = None,
    resampling: Resampling = REFITS,
) -> DirectionCone:
    """Measure how far a bias axis moves when its pairs are resampled.

    Pairs are drawn with replacement, and whole clusters where these are given: pairs of one
    occupation share its words, are not independent, and make the cone too narrow if they are
    drawn one by one.

    Parameters
    ----------
    estimator : AxisEstimator
        What finds the axis; it is cloned, not changed. Every draw costs one fit, except for
        `PairDirection`, whose draws are one matrix product.
    male, female : ndarray of shape (n_pairs, n_features)
        Aligned rows.
    clusters : array-like of shape (n_pairs,), optional
        Label of each pair, for example its occupation; by default each pair is its own.
    resampling : Resampling

    Returns
    -------
    DirectionCone
        Angles in degrees, from 0 (does not move) to 180 (turns round).

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DataError
        If there are fewer than 2 pairs or clusters.
    DegenerateDataError
        If there is no axis, in all pairs or in a draw of them.
    """
    full = clone(estimator).fit(male, female).direction_
    male, female = as_pairs(male, female)
    codes, values = as_codes(clusters, n_rows=len(male), name="clusters")
    if len(values) < 2:
        raise DataError(
            f"{len(male)} pairs in {len(values)} clusters cannot be drawn anew; needed at least 2 "
            "clusters (or leave clusters out)"
        )
    counts = resampled_counts(len(values), resampling.n, resampling.rng())[:, codes]
    if type(estimator) is PairDirection:
        axes: Double = counts @ (male - female)  # (n_draws, n_features)
        lengths = np.linalg.norm(axes, axis=1, keepdims=True) / len(male)
        if (n_none := int((lengths <= rounding(np.float64, male, female)).sum())) > 0:
            raise DegenerateDataError(
                f"the differences vanish on average in {n_none} of {resampling.n} draws; needed "
                "more pairs, or pairs that agree more"
            )
        axes /= len(male) * lengths
    else:
        draws = (np.repeat(np.arange(len(male)), count) for count in counts)
        axes = np.stack(
            [clone(estimator).fit(male[rows], female[rows]).direction_ for rows in draws]
        )
    angles = np.sort(_degrees(axes, full))
    median, high = np.quantile(angles, (0.5, 0.95))
    return DirectionCone(
        angles=angles,
        median=float(median),
        high=float(high),
        n_pairs=len(male),
        n_clusters=len(values),
    )


def pairwise_cosines(directions: Mapping[str, BiasDirection | Vector]) -> pd.DataFrame:
    """Compare bias axes with each other.

    Parameters
    ----------
    directions : mapping of str to BiasDirection or ndarray of shape (n_features,)
        Axes of the same embedding space, by name; vectors need not be of unit length.

    Returns
    -------
    DataFrame of shape (n_directions, n_directions)
        Cosines, named on both sides: 1 is the same axis, 0 a right angle, -1 turned round.

    Raises
    ------
    DataError
        If there is no direction, one has no length or a value that is not finite, or they are of
        different widths or encoders.
    """
    import pandas as pd

    encoders = {d.encoder for d in directions.values() if isinstance(d, BiasDirection)}
    if len(encoders) > 1:
        raise DataError(f"the directions are of {sorted(encoders)}; needed those of one encoder")
    vectors = [as_vector(direction) for direction in directions.values()]
    if len(widths := {len(vector) for vector in vectors}) != 1:
        raise DataError(f"the directions have the widths {sorted(widths)}; needed one width")
    rows = np.stack(vectors)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise DataError("a direction is zero or not finite; needed vectors with a length")
    rows /= lengths
    names = list(directions)
    return pd.DataFrame(np.clip(rows @ rows.T, -1.0, 1.0), index=names, columns=names)


def stability(
    estimator: AxisEstimator,
    male: Matrix,
    female: Matrix,
    *,
    units: Labels | None = None,
    sizes: Sequence[int] | None = None,
    n_draws: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how many pairs, or templates, a bias axis needs before it stays where it is.

    For each size, the axes of two disjoint sets of that many units are compared with each other
    (their cosine says what would come out again with other pairs) and with the axis of all.

    Parameters
    ----------
    estimator : AxisEstimator
        What finds the axis; it is cloned, not changed. Every draw costs two fits.
    male, female : ndarray of shape (n_pairs, n_features)
        Aligned rows.
    units : array-like of shape (n_pairs,), optional
        What is drawn whole, for example the template of each pair; by default the pair.
    sizes : sequence of int, optional
        Numbers of units in a set, each at most half of them. By default the powers of two up to
        the half, and the half.
    n_draws : int, default=100
        Number of splits of each size.
    seed : int, default=0
        Seed of the splits.

    Returns
    -------
    DataFrame
        One row a size: ``n_units``, ``n_pairs`` (mean number in a set), ``cosine, low, high`` of
        two disjoint sets (median and central 95 % of the splits), ``to_full, to_full_low,
        to_full_high`` of one set and all, ``n_draws``. 1 means the same axis, 0 a right angle.

    Raises
    ------
    ValueError
        If ``n_draws`` or a size is not in its range.
    ShapeError
        If the shapes do not fit.
    DataError
        If there are fewer than 2 units.
    DegenerateDataError
        If there is no axis, in all pairs or in a set of them.
    """
    import pandas as pd

    full = clone(estimator).fit(male, female).direction_
    male, female = as_pairs(male, female)
    codes, values = as_codes(units, n_rows=len(male), name="units")
    sizes = _sizes(len(values), sizes)
    if n_draws < 1:
        raise ValueError(f"n_draws is {n_draws}; needed at least 1")
    rng = np.random.default_rng(seed)
    table = []
    for size in sizes:
        found, n_pairs = [], []
        for _ in range(n_draws):
            order = rng.permutation(len(values))
            sets = [np.isin(codes, order[:size]), np.isin(codes, order[size : 2 * size])]
            first, second = (clone(estimator).fit(male[s], female[s]).direction_ for s in sets)
            found.append((first @ second, first @ full))
            n_pairs.append(sets[0].sum())
        low, middle, high = np.quantile(found, (0.025, 0.5, 0.975), axis=0)
        table.append(
            {
                "n_units": size,
                "n_pairs": float(np.mean(n_pairs)),
                **dict(zip(("cosine", "to_full"), middle, strict=True)),
                **dict(zip(("low", "to_full_low"), low, strict=True)),
                **dict(zip(("high", "to_full_high"), high, strict=True)),
                "n_draws": n_draws,
            }
        )
    columns = ["n_units", "n_pairs", "cosine", "low", "high"]
    columns += ["to_full", "to_full_low", "to_full_high", "n_draws"]
    return pd.DataFrame(table, columns=columns)


def _sizes(n_units: int, sizes: Sequence[int] | None) -> list[int]:
    if n_units < 2:
        raise DataError(f"there are {n_units} units; needed at least 2 to compare two sets")
    half = n_units // 2
    if sizes is None:
        return sorted({2**k for k in range(half.bit_length())} | {half})
    if bad := [size for size in sizes if not 1 <= size <= half]:
        raise ValueError(f"sizes holds {bad}; needed 1 to {half}, half of {n_units} units")
    return list(sizes)


def _degrees(axes: Double, full: Double) -> Double:
    """Angles of unit rows to a unit vector; by the tangent, as arccos is blind below 1e-8."""
    along = axes @ full
    across = np.linalg.norm(axes - along[:, None] * full, axis=1)
    degrees: Double = np.degrees(np.arctan2(across, along))
    return degrees
