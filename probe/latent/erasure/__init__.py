"""Erasers of a concept from embeddings, and measures of what they leave."""

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
