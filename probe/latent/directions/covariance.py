"""Covariances that can be inverted when there are fewer samples than dimensions."""

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

from probe.arrays import Double
from probe.errors import DegenerateDataError

_EPS = float(np.finfo(np.float64).eps)


def estimated_shrinkage(rows: Double) -> float:
    """Return Ledoit and Wolf's shrinkage (2004) of a covariance of centred rows, at least 1 / n.

    Rows that happen to agree (two of a group always do) would otherwise make theirs 0 where the
    covariance has no inverse.
    """
    return max(float(ledoit_wolf_shrinkage(rows, assume_centered=True)), 1 / len(rows))


def solve_covariance(rows: Double, targets: Double, *, shrinkage: float) -> Double:
    """Apply the inverse of a shrunk covariance, ``((1 - s) S + s mu I)^-1 targets``.

    ``S = X^T X / n`` of centred rows X (n, n_features), and mu its mean eigenvalue; targets and
    result have the shape (n_features, n_targets). No matrix of shape (n_features, n_features) is
    formed where there are fewer rows than features. Without shrinkage, directions in which the
    rows do not vary are left out (the pseudo-inverse).
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
