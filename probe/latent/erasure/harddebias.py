"""Hard debiasing: remove what lies in the bias subspace."""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix, Vector
from probe.errors import DegenerateDataError
from probe.latent.directions.subspace import mean_axes
from probe.latent.erasure.affine import AffineEraser, pair_deviations


class HardDebiasEraser(AffineEraser):
    """Project embeddings off the subspace in which pairs, or group means, differ.

    With pairs, the subspace is spanned by the first principal components of the rows centred at
    the mean of their pair; without them, by the group means as in `GroupSubspace`. `transform`
    neutralises, ``x - strength * (x on the subspace)``, about the origin as published: a constant
    shift of the space matters. Lengths are not made 1 again; words are not equalised.

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
