"""Projections that take a concept out of embeddings, and what they leave of it."""

from probe.latent.erasure.calibrated import (
    CalibratedProjection,
    MeanGapEraser,
    bias_score,
    shrinking_directions,
)

__all__ = [
    "CalibratedProjection",
    "MeanGapEraser",
    "bias_score",
    "shrinking_directions",
]
