"""Bands that hold for all cells of a table at once, so that its extreme cells can be believed."""

from __future__ import annotations

import numpy as np

from probe.errors import DataError
from probe.latent.directions import Double


def occupation_draws(n: int, *, n_bootstrap: int, seed: int) -> Double:
    """Draw how often each of ``n`` occupations counts in each bootstrap sample.

    Returns
    -------
    ndarray of shape (n_bootstrap, n)
        Each row sums to ``n``. The same draws serve every cell of a table.

    Raises
    ------
    DataError
        If there are fewer than 3 occupations.
    ValueError
        If ``n_bootstrap`` is not positive.
    """
    if n < 3:
        raise DataError(f"an interval over occupations needs at least 3 of them, got {n}")
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap is {n_bootstrap}; needed at least 1")
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=n_bootstrap).astype(np.float64)


def band(value: Double, draws: Double, *, coverage: float = 0.95) -> tuple[Double, Double]:
    """Return intervals that cover all cells together with the given probability.

    ``value +- q * se``, where ``se`` is the spread of a cell's draws and ``q`` the quantile of
    the largest ``|draw - value| / se`` over the cells. A band over many cells is wider than the
    interval of one: among fifty intervals of 95 % two or three would miss by chance, and a search
    for the first cell that clears its control would find them.

    Parameters
    ----------
    value : ndarray of shape (n_cells,)
        The estimates.
    draws : ndarray of shape (n_bootstrap, n_cells)
        Their bootstrap draws, of the same samples in every cell. A draw that is not finite counts
        as the estimate.
    coverage : float, default=0.95
        For all cells at once.

    Returns
    -------
    low, high : ndarray of shape (n_cells,)
        A cell whose draws do not vary has both at its value.

    References
    ----------
    Montiel Olea and Plagborg-Moller, *Simultaneous confidence bands: Theory, implementation, and
    an application to SVARs*, Journal of Applied Econometrics 34 (2019), algorithm 2.
    """
    away = np.where(np.isfinite(draws), draws - value, 0.0)
    se = np.sqrt((away**2).mean(axis=0))
    varies = se > 1e-12 * np.abs(value).max(initial=1.0)
    if not varies.any():
        return value.copy(), value.copy()
    largest = (np.abs(away[:, varies]) / se[varies]).max(axis=1)
    reach = np.where(varies, np.quantile(largest, coverage) * se, 0.0)
    return value - reach, value + reach
