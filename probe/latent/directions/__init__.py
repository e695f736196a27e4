"""Bias axes: unit directions that separate one group's embeddings from another's."""

from probe.latent.directions.axis import (
    AxisEstimator,
    BiasDirection,
    PairDirection,
    as_embeddings,
    as_pairs,
    as_vector,
    rounding,
)

__all__ = [
    "AxisEstimator",
    "BiasDirection",
    "PairDirection",
    "as_embeddings",
    "as_pairs",
    "as_vector",
    "rounding",
]
