"""The share of women among pictures, foretold from the text."""

from probe.latent.prediction.predictor import (
    SharePredictor,
)

__all__ = [
    "SharePredictor",
]
