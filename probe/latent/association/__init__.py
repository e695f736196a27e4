"""How strongly embeddings associate groups with attributes, with p-values and intervals.

Bias scores with shares: `share_correlation`, `share_regression`. Sets of words with sets of words:
`weat`, `rnd`, `ect`, `ripa`. Many tests at once: `probe.stats.multiplicity`.
"""

from probe.latent.association.ect import ect
from probe.latent.association.result import AssociationResult
from probe.latent.association.ripa import ripa
from probe.latent.association.rnd import rnd
from probe.latent.association.weat import weat
from probe.stats.correlation import (
    ShareCorrelation,
    ShareRegression,
    share_correlation,
    share_regression,
)

__all__ = [
    "AssociationResult",
    "ShareCorrelation",
    "ShareRegression",
    "ect",
    "ripa",
    "rnd",
    "share_correlation",
    "share_regression",
    "weat",
]
