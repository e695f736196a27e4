"""How strongly embeddings associate groups with attributes, with p-values and intervals.

Many tests at once: `probe.stats.multiplicity`.
"""

from probe.latent.association.weat import weat
from probe.latent.association.word_measures import ect, ripa, rnd
from probe.latent.association.word_sets import AssociationResult

__all__ = ["AssociationResult", "ect", "ripa", "rnd", "weat"]
