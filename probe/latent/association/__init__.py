"""How strongly embeddings associate groups with attributes, with p-values and intervals.

Bias scores with shares: `share_correlation`, `share_regression`. Sets of words with sets of words:
`weat`, `seat`, `rnd`, `ect`, `ripa`. Many tests at once: `probe.stats.multiplicity`.
"""

from probe.latent.association.ect import ect
from probe.latent.association.result import MeasureResult
from probe.latent.association.ripa import ripa
from probe.latent.association.rnd import rnd
from probe.latent.association.seat import in_sentences, seat
from probe.latent.association.weat import (
    WeatResult,
    association_scores,
    weat,
    weat_effect_size,
)
from probe.stats.correlation import (
    ShareCorrelation,
    ShareRegression,
    share_correlation,
    share_regression,
)

__all__ = [
    "MeasureResult",
    "ShareCorrelation",
    "ShareRegression",
    "WeatResult",
    "association_scores",
    "ect",
    "in_sentences",
    "ripa",
    "rnd",
    "seat",
    "share_correlation",
    "share_regression",
    "weat",
    "weat_effect_size",
]
