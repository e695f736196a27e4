"""P-values of many tests, adjusted so that a family of them can be read at one level."""

import numpy as np

from probe.arrays import Double, Vector
from probe.errors import DataError
from probe.stats.validation import as_finite


def holm(p_values: Vector) -> Double:
    """Adjust p-values, (m,), so that the chance of any false alarm stays below the level.

    With the p-values in ascending order, ``max_{j <= i} min(1, (m - j + 1) p_(j))``, by
    statsmodels, in the order given: reject those up to the level. Valid under any dependence of the
    tests; never weaker than Bonferroni.

    References
    ----------
    Holm, *A simple sequentially rejective multiple test procedure*, Scand. J. Stat. 6 (1979).
    """
    from statsmodels.stats.multitest import multipletests

    p = as_finite(p_values, "p-values")
    if not len(p):
        raise DataError("there is no p-value to adjust; needed at least 1")
    if p.min() < 0.0 or p.max() > 1.0:
        raise DataError(f"p-values go from {p.min():.4g} to {p.max():.4g}; needed 0 to 1")
    return np.asarray(multipletests(p, method="holm")[1])
