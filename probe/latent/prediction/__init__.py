"""The share of women in the images of a prompt, predicted from the text."""

from probe.latent.prediction.predictor import SharePredictor

__all__ = ["SharePredictor"]
