"""tinytown: a small text-to-image model with its world, renderer and training recipe.

A laboratory model: claims about the method can be checked against known truth in minutes. Its
figures are not evidence about any other model.
"""
