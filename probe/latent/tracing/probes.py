"""Linear probes in closed form: what each occupation's prompts score when it was left out."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe.arrays import Double, Matrix
from probe.latent.directions import as_embeddings

Groups: TypeAlias = npt.NDArray[np.intp]
"""Shape (n,): the number of each row's group, from 0 without gaps."""


def held_out_scores(X: Matrix, Y: Matrix, groups: Groups, *, shrinkage: float = 0.01) -> Double:
    """Predict every row by a ridge regression that saw no row of its group.

    Leaving out group g changes the residuals of a linear smoother ``H`` to
    ``(I - H_gg)^-1 (y_g - (H y)_g)``, exactly. One factorisation therefore gives the probes of all
    groups and all targets, and nothing is fitted again. With targets -1 and 1 of equal number the
    sign of the score is the answer of a linear discriminant.

    ``X`` (n, n_features) are states and ``Y`` (n, n_targets) the targets of one probe each; the
    result has the shape of Y. The intercept is not penalised. ``shrinkage`` is the penalty, as a
    share of the mean eigenvalue of ``X^T X`` over its rank; it makes the probe unique where there
    are fewer rows than features.

    References
    ----------
    Cook and Weisberg, *Residuals and Influence in Regression* (1982), section 3.6, for the
    deletion of several rows.
    """
    X = as_embeddings(X)
    targets: Double = np.asarray(Y, dtype=np.float64)
    rows = group_rows(groups)
    centered = X - X.mean(axis=0)
    n, n_features = X.shape
    penalty = shrinkage * float((centered**2).sum()) / min(n - 1, n_features)
    if penalty == 0.0:  # the states are all the same: no probe can do better than the mean
        penalty = 1.0
    if n_features < n:
        gram = centered.T @ centered + penalty * np.eye(n_features)
        half = np.linalg.solve(np.linalg.cholesky(gram), centered.T)  # H = half^T half
        padded = np.pad(half, ((0, 0), (0, 1)))[:, rows].transpose(1, 2, 0)
        blocks = padded @ padded.transpose(0, 2, 1)  # (n_groups, size, size)
        return _left_out(half.T @ (half @ targets), targets, blocks, rows)
    gram = centered @ centered.T
    smoother = gram @ np.linalg.inv(gram + penalty * np.eye(n))
    blocks = np.pad(smoother, (0, 1))[rows[:, :, None], rows[:, None, :]]
    return _left_out(smoother @ targets, targets, blocks, rows)


def group_rows(groups: Groups) -> Groups:
    """Return the rows of each group, shape (n_groups, size of the largest), filled up with -1."""
    sizes = np.bincount(groups)
    order = np.argsort(groups, kind="stable")
    place = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.full((len(sizes), sizes.max()), -1)
    rows[groups[order], place] = order
    return rows


def left_out_axes(differences: Double) -> Double:
    """Return for each group the unit mean of the other groups' differences.

    Both are of shape (n_groups, n_features); others that do not differ give an axis of 0.
    """
    others = differences.sum(axis=0) - differences
    length = np.linalg.norm(others, axis=1, keepdims=True)
    axes: Double = np.divide(others, length, out=np.zeros_like(others), where=length > 0)
    return axes


def _left_out(fitted: Double, Y: Double, blocks: Double, rows: Groups) -> Double:
    """Turn fitted values into left-out ones; ``fitted`` and ``blocks`` lack the intercept yet."""
    n, is_row = len(Y), rows >= 0
    blocks = blocks + (is_row[:, :, None] & is_row[:, None, :]) / n
    residual = np.pad(Y - fitted - Y.mean(axis=0), ((0, 1), (0, 0)))[rows]  # (n_groups, size, k)
    left = np.linalg.solve(np.eye(rows.shape[1]) - blocks, residual)
    scores = Y.copy()
    scores[rows[is_row]] -= left[is_row]
    return scores
