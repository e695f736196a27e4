"""How strongly embeddings associate groups with attributes, with p-values and intervals.

Of a bias axis with the world: `share_correlation`, `share_regression`, `group_gap`. Of sets of
words with sets of words: `weat`, `seat`, `rnd`, `ect`, `ripa`, `mac`, `rnsb`. Many tests at once:
`probe.stats.multiplicity`.
"""

from probe.latent.association.ect import ect
from probe.latent.association.mac import mac
from probe.latent.association.result import MeasureResult
from probe.latent.association.ripa import ripa
from probe.latent.association.rnd import rnd
from probe.latent.association.rnsb import rnsb
from probe.latent.association.seat import in_sentences, seat
from probe.latent.association.weat import (
    WeatResult,
    association_scores,
    weat,
    weat_effect_size,
)
from probe.stats.correlation import (
    GroupGap,
    ShareCorrelation,
    ShareRegression,
    group_gap,
    share_correlation,
    share_regression,
)

__all__ = [
    "GroupGap",
    "MeasureResult",
    "ShareCorrelation",
    "ShareRegression",
    "WeatResult",
    "association_scores",
    "ect",
    "group_gap",
    "in_sentences",
    "mac",
    "ripa",
    "rnd",
    "rnsb",
    "seat",
    "share_correlation",
    "share_regression",
    "weat",
    "weat_effect_size",
]
