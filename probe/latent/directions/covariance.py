"""Covariances that can be inverted when there are fewer samples than dimensions."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double
from probe.errors import DegenerateDataError

_EPS = float(np.finfo(np.float64).eps)


def ledoit_wolf(rows: Double) -> float:
    """Estimate how far to shrink the covariance of centred rows towards a multiple of I.

    The share s of ``(1 - s) S + s mu I``, with ``S = X^T X / n`` and ``mu = tr(S) / n_features``,
    that has the least expected squared error. It depends on the rows through their inner products
    only, and so neither on the axes of the space nor on its scale.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Centred rows X.

    Returns
    -------
    float
        From 0 (the sample covariance as it is) to 1 (a multiple of I).

    References
    ----------
    Ledoit, Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*, Journal
    of Multivariate Analysis 88 (2004), equation 14 and section 3.
    """
    n, n_features = rows.shape
    # the squared norm of S is that of the smaller of X X^T and X^T X
    small = rows @ rows.T if n < n_features else rows.T @ rows
    squared_norm = float((small**2).sum()) / n**2
    lengths = (rows**2).sum(axis=1)
    apart = squared_norm - (lengths.sum() / n) ** 2 / n_features
    if apart <= squared_norm * n_features * _EPS:
        return 0.0  # S is a multiple of I already
    noise = (float((lengths**2).sum()) / n - squared_norm) / n
    return float(np.clip(noise / apart, 0.0, 1.0))


def choose_shrinkage(rows: Double, shrinkage: float | None) -> float:
    """Return the shrinkage of a covariance of centred rows: what was asked for, or an estimate.

    None takes Ledoit and Wolf's, and at least 1 / n: rows that happen to agree (two of a group
    always do) would otherwise make theirs 0 where S has no inverse.

    Raises
    ------
    ValueError
        If ``shrinkage`` is outside [0, 1].
    """
    if shrinkage is None:
        return max(ledoit_wolf(rows), 1 / len(rows))
    if not 0.0 <= shrinkage <= 1.0:
        raise ValueError(f"shrinkage is {shrinkage}; needed None or a number from 0 to 1")
    return float(shrinkage)


def solve_covariance(rows: Double, targets: Double, *, shrinkage: float) -> Double:
    """Apply the inverse of a shrunk covariance, ``((1 - s) S + s mu I)^-1 targets``.

    No matrix of shape (n_features, n_features) is formed where there are fewer rows than that.
    Without shrinkage, directions in which the rows do not vary are left out (the pseudo-inverse).

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Centred rows; ``S = X^T X / n``.
    targets : ndarray of shape (n_features, n_targets)
        Columns to solve for.
    shrinkage : float
        Share s, from 0 to 1.

    Returns
    -------
    ndarray of shape (n_features, n_targets)
        One solution a column.

    Raises
    ------
    DegenerateDataError
        If the rows do not vary at all.
    """
    n, n_features = rows.shape
    ridge = shrinkage * float((rows**2).sum()) / n / n_features
    weight = (1 - shrinkage) / n
    if not rows.any():
        raise DegenerateDataError(
            f"the {n} rows do not vary within their groups, so they have no covariance; needed "
            "several different rows of each group"
        )
    solution: Double
    if shrinkage > 0.0 and n < n_features:
        inner = ridge * np.eye(n) + weight * rows @ rows.T  # Woodbury's identity
        solution = (targets - weight * rows.T @ np.linalg.solve(inner, rows @ targets)) / ridge
        return solution
    covariance = ridge * np.eye(n_features) + weight * rows.T @ rows
    if shrinkage > 0.0:
        solution = np.linalg.solve(covariance, targets)
        return solution
    values, vectors = np.linalg.eigh(covariance)
    vectors = vectors[:, is_kept := values > values[-1] * n_features * _EPS]
    solution = vectors @ ((vectors.T @ targets) / values[is_kept, None])
    return solution
