"""Hard debiasing: neutralise what lies in the bias subspace, equalise what defines it."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from probe.arrays import Double, Matrix, Vector
from probe.errors import DataError, DegenerateDataError
from probe.latent.directions.subspace import group_means, mean_axes
from probe.latent.erasure.affine import AffineEraser, pair_codes, pair_deviations

_UNIT = 1e-3  # float16 rounds a length of 1 by as much


class HardDebiasEraser(AffineEraser):
    """Project embeddings off the subspace in which pairs, or group means, differ.

    With pairs, the subspace is spanned by the first principal components of the rows centred at
    the mean of their pair; without them, by the group means as in `GroupSubspace`. `transform`
    neutralises, ``x - strength * (x on the subspace)``, about the origin as published: only
    there do equalised words stand alike to all neutral ones. A constant shift of the space
    therefore matters. Lengths are not made 1 again.

    Parameters
    ----------
    strength : float, default=1.0
        Share of the component to remove, from 0 (identity) to 1.
    n_axes : int or None, default=None
        Dimension of the subspace; None is the number of groups less one.

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        Names of the groups, in order.
    center_ : ndarray of shape (n_features,)
        The origin.
    probes_, moves_ : ndarray of shape (n_axes, n_features)
        Orthonormal rows, the same in both: the subspace.
    n_features_in_ : int
        Width of the embeddings.

    References
    ----------
    Bolukbasi et al., *Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word
    Embeddings*, NeurIPS 2016, section 6; for more than two groups Manzini et al., *Black is to
    Criminal as Caucasian is to Police*, NAACL 2019.
    """

    def __init__(self, *, strength: float = 1.0, n_axes: int | None = None) -> None:
        super().__init__(strength=strength)
        self.n_axes = n_axes

    def fit(self, X: Matrix, y: Vector, *, pairs: Vector | None = None) -> HardDebiasEraser:
        """Learn the subspace.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Embeddings.
        y : ndarray of shape (n,)
            Group of each.
        pairs : ndarray of int, shape (n,), optional
            Pair (or triple, ...) of each row; a negative number is none.

        Raises
        ------
        ValueError
            If an option is out of its range, or X and y are not what scikit-learn takes.
        ShapeError, DataError
            If there is not one pair number a row, or no row has a partner.
        DegenerateDataError
            If there are fewer than two groups, or nothing differs within pairs or between means.
        """
        rows, _, means, floor = self._checked(X, y)
        if pairs is None:
            basis, _ = mean_axes(means, names=self.groups_, floor=floor)
        else:
            basis = _principal(pair_deviations(rows, pairs)[0], floor)
        n_axes = min(len(means) - 1, len(basis)) if self.n_axes is None else self.n_axes
        if not 1 <= n_axes <= len(basis):
            raise ValueError(f"n_axes is {n_axes}; needed 1 to {len(basis)}, all that differ")
        self.center_ = np.zeros(rows.shape[1])
        self.probes_ = self.moves_ = basis[:n_axes]
        return self

    def equalize(self, X: Matrix, pairs: Vector) -> Double:
        """Make the rows of each pair differ by the subspace only, and by the same length.

        ``nu + sqrt(1 - ||nu||^2) (x_B - mu_B) / ||x_B - mu_B||``, where mu is the mean of the
        pair, B marks the part in the subspace and ``nu = mu - mu_B``. The result has unit
        length; the rows of a pair then have the same product with every neutralised one.
        ``strength`` plays no part.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Embeddings of unit length.
        pairs : ndarray of int, shape (n,)
            Pair of each row; rows without a partner, or with a negative number, stay.

        Raises
        ------
        DataError
            If a paired row is not of unit length.
        DegenerateDataError
            If the rows of a pair do not differ in the subspace.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        rows = X.astype(np.float64)
        is_paired, codes, _ = pair_codes(pairs, n_rows=len(rows))
        paired = rows[is_paired]
        lengths = np.linalg.norm(paired, axis=1)
        if (worst := float(np.abs(lengths - 1).max())) > _UNIT:
            raise DataError(
                f"a paired embedding has a length that differs from 1 by {worst:.2g}; needed unit "
                "rows: divide each by its norm"
            )
        means = group_means(paired, codes)
        inside = paired @ self.probes_.T  # (n_paired, n_axes)
        apart = inside - (means @ self.probes_.T)[codes]
        sizes = np.linalg.norm(apart, axis=1, keepdims=True)
        if sizes.min() <= 4 * np.finfo(X.dtype).eps:
            raise DegenerateDataError(
                "the rows of a pair do not differ in the bias subspace, so they have no side; "
                "needed pairs that do: leave this one out"
            )
        nu = (means - (means @ self.probes_.T) @ self.probes_)[codes]
        reach = np.sqrt(np.maximum(1 - (nu**2).sum(axis=1, keepdims=True), 0.0))
        rows[is_paired] = nu + reach * (apart / sizes) @ self.moves_
        return rows


def _principal(deviations: Double, floor: float) -> Double:
    """Orthonormal rows in which deviations vary, those in which they vary most first."""
    if np.linalg.norm(deviations, axis=1).max() <= floor:
        raise DegenerateDataError(
            f"the {len(deviations)} paired rows equal the mean of their pair; needed pairs that "
            "differ: check that both sides are not the same"
        )
    _, singular, basis = np.linalg.svd(deviations, full_matrices=False)
    own = singular[0] * max(deviations.shape) * np.finfo(np.float64).eps
    kept: Double = basis[singular > max(floor, own)]
    return kept
