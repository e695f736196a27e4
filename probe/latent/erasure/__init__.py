"""Projections that take a concept out of embeddings, and what they leave of it."""

from probe.latent.erasure.calibrated import (
    CalibratedProjection,
    MeanGapEraser,
    shrinking_directions,
    skew,
)

__all__ = [
    "CalibratedProjection",
    "MeanGapEraser",
    "shrinking_directions",
    "skew",
]
