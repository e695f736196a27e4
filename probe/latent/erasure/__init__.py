"""Erasers of a concept from embeddings, and measures of what they leave."""

from probe.latent.erasure.affine import MeanGapEraser
from probe.latent.erasure.calibrated import CalibratedProjection, bias_score

__all__ = ["CalibratedProjection", "MeanGapEraser", "bias_score"]
