"""How far attributes depend on each other: information, its bias, and what chance explains."""

from dataclasses import dataclass

import numpy as np

from probe.arrays import Codes, Counts
from probe.stats.resampling import Resampling


@dataclass(frozen=True)
class Dependence:
    """What attributes say about each other, in nats."""

    value: float
    """As counted (plug-in): above 0 for independent attributes too, where images are few."""
    corrected: float
    """Less the bias of few images, by Miller and Madow; may be negative."""
    chance: float
    """Mean over the permutations: what independent attributes score at these numbers."""
    p: float
    """Share of permutations that score as much; small where attributes do depend."""
    n: int
    """Images."""


SHUFFLES = Resampling(999)
"""Default of `dependence`, whose every shuffle counts all cells anew."""


def dependence(
    codes: Codes, strata: Codes | None = None, *, permutations: Resampling = SHUFFLES
) -> Dependence:
    """Measure how far K attributes depend on each other, in nats; 0 means independent.

    The total correlation ``sum_k H(X_k) - H(X_1, ..., X_K)``, which for two attributes is their
    mutual information, of codes (n_images, K) from 0. With strata, (n_images,), e.g. the subjects,
    its mean over them, weighted by their images: dependence that the stratum does not explain. The
    p-value is that of permuting all attributes but the first, within the strata.

    References
    ----------
    Watanabe, *Information theoretical analysis of multivariate correlation*, IBM J. R&D 4 (1960).
    Miller, *Note on the bias of information estimates*, 1955.
    """
    strata = np.zeros(len(codes), dtype=np.int64) if strata is None else strata
    order = np.argsort(strata, kind="stable")
    codes, strata = codes[order], strata[order]
    n, widths = len(codes), codes.max(axis=0) + 1
    alone = [_entropy(codes[:, [k]], widths[[k]], strata) for k in range(codes.shape[1])]
    entropies = sum(found for found, _ in alone)
    joint, n_cells = _entropy(codes, widths, strata)
    n_strata = len(np.unique(strata))
    # each entropy is too low by (cells that occur - 1) / 2n, stratum by stratum
    freedom = (n_cells - n_strata) - sum(cells - n_strata for _, cells in alone)
    rng, drawn = permutations.rng(), np.empty(permutations.n)
    for draw in range(permutations.n):
        moved = codes.copy()
        for k in range(1, codes.shape[1]):
            moved[:, k] = codes[np.argsort(strata + rng.random(n)), k]
        drawn[draw] = entropies - _entropy(moved, widths, strata)[0]
    value = max(0.0, entropies - joint)
    hits = int((drawn >= value - 1e-12).sum())
    return Dependence(
        value=value,
        corrected=value - freedom / (2 * n),
        chance=float(drawn.mean()),
        p=(1 + hits) / (1 + permutations.n),
        n=n,
    )


def entropy(counts: Counts) -> tuple[float, float]:
    """Compute the entropy of counts in nats, as counted and corrected by Miller and Madow.

    ``H = -sum p log p``, and ``H + (m - 1) / 2n`` with the m cells that occur.
    """
    present = counts[counts > 0]
    shares = present / present.sum()
    plain = float(-shares @ np.log(shares))
    return plain, plain + (len(present) - 1) / (2 * present.sum())


def _entropy(codes: Codes, widths: Codes, strata: Codes) -> tuple[float, int]:
    """Mean entropy within strata, and how many cells occur in all of them."""
    cells = strata.astype(np.int64)
    for column, width in zip(codes.T, widths, strict=True):
        cells = cells * int(width) + column
    _, first, counts = np.unique(cells, return_index=True, return_counts=True)
    sizes = np.bincount(strata)[strata[first]]
    value = float(-(counts / len(codes)) @ np.log(counts / sizes))
    return value, len(counts)
