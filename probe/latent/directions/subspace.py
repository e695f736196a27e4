"""Where more than two groups stand: the subspace that their means span."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from probe.arrays import Double, Matrix
from probe.errors import DegenerateDataError
from probe.latent.directions import as_embeddings, rounding
from probe.latent.labels import Codes, Labels, Names, as_codes


class GroupSubspace(BaseEstimator):
    """Find the axes on which K groups stand apart.

    The right singular vectors of the K group means, centred at their own mean, so that every
    group counts alike whatever its size. There are at most K - 1. For two groups the one axis is
    the line that joins their means.

    Parameters
    ----------
    n_axes : int or None, default=None
        How many axes to keep; None keeps all in which the means differ.

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        Names of the groups, in order.
    means_ : ndarray of shape (n_groups, n_features)
        Mean of each group.
    center_ : ndarray of shape (n_features,)
        Mean of the group means; it stands at the origin of the subspace.
    axes_ : ndarray of shape (n_axes, n_features)
        Orthonormal rows, those on which the means differ most first. The group farthest out on
        an axis is on its positive side; of two groups as far out, the later.
    spread_ : ndarray of shape (n_axes,)
        Root of the summed squares of the group means on each axis, in embedding units.
    n_features_in_ : int
        Width of the embeddings.

    References
    ----------
    Manzini et al., *Black is to Criminal as Caucasian is to Police: Detecting and Removing
    Multiclass Bias in Word Embeddings*, NAACL 2019, for subspaces of several groups.
    """

    def __init__(self, *, n_axes: int | None = None) -> None:
        self.n_axes = n_axes

    def fit(self, z: Matrix, groups: Labels) -> GroupSubspace:
        """Learn the axes from embeddings of shape (n, n_features) and the group of each.

        Raises
        ------
        ValueError
            If ``n_axes`` is below 1, or larger than the number of axes that there are.
        ShapeError, DataError
            If ``z`` are no finite embeddings, or there is not one group a row.
        DegenerateDataError
            If there are fewer than two groups, or their means coincide.
        """
        dtype, z = np.asarray(z).dtype, as_embeddings(z)
        codes, self.groups_ = as_codes(groups, n_rows=len(z), name="groups")
        self.means_: Double = group_means(z, codes)
        self.center_: Double = self.means_.mean(axis=0)
        basis, spread = mean_axes(self.means_, names=self.groups_, floor=rounding(dtype, z))
        n_axes = len(basis) if self.n_axes is None else self.n_axes
        if not 1 <= n_axes <= len(basis):
            raise ValueError(
                f"n_axes is {n_axes}; the means of {len(self.means_)} groups differ on "
                f"{len(basis)}: needed 1 to {len(basis)}"
            )
        self.axes_: Double = basis[:n_axes]
        self.spread_: Double = spread[:n_axes]
        self.n_features_in_ = z.shape[1]
        return self

    def project(self, z: Matrix) -> Double:
        """Return coordinates of shape (n, n_axes) in embedding units; 0 is the center."""
        check_is_fitted(self)
        z = as_embeddings(z, n_features=self.n_features_in_)
        return (z - self.center_) @ self.axes_.T


def group_means(z: Matrix, codes: Codes) -> Double:
    """Return the mean of the rows of each code, numbered from 0, shape (n_codes, n_features)."""
    counts = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums: Double = np.add.reduceat(z[np.argsort(codes, kind="stable")], starts, axis=0)
    return sums / counts[:, None]


def mean_axes(means: Double, *, names: Names, floor: float) -> tuple[Double, Double]:
    """Return the oriented axes on which means differ, and their spread there.

    Raises
    ------
    DegenerateDataError
        If there are fewer than two means, or they coincide but for rounding (``floor``).
    """
    if len(means) < 2:
        raise DegenerateDataError(f"all rows are of the group {names[0]!s}; needed 2 groups")
    centered = means - means.mean(axis=0)
    if np.linalg.norm(centered, axis=1).max() <= floor:
        raise DegenerateDataError(
            f"the means of {len(means)} groups coincide; needed groups that differ on average"
        )
    _, singular, basis = np.linalg.svd(centered, full_matrices=False)
    own = singular[0] * max(centered.shape) * np.finfo(np.float64).eps
    basis = basis[singular > max(floor, own)]
    places = centered @ basis.T  # (n_groups, n_axes)
    size = np.abs(places)
    # equal but for rounding counts as equal, or the side of two groups would be chance
    is_farthest = size >= size.max(axis=0) * (1 - 1e-9)
    last = len(means) - 1 - is_farthest[::-1].argmax(axis=0)
    sides = np.sign(places[last, np.arange(len(basis))])
    return basis * sides[:, None], singular[: len(basis)]
