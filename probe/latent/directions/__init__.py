"""Bias axes: unit directions that separate one group's embeddings from another's."""

from probe.arrays import Double, Mask, Matrix, Vector
from probe.latent.directions.axis import (
    AxisEstimator,
    BiasDirection,
    PairDirection,
    as_apart,
    as_embeddings,
    as_pairs,
    as_vector,
    gap,
    rounding,
)

__all__ = [
    "AxisEstimator",
    "BiasDirection",
    "Double",
    "Mask",
    "Matrix",
    "PairDirection",
    "Vector",
    "as_apart",
    "as_embeddings",
    "as_pairs",
    "as_vector",
    "gap",
    "rounding",
]
