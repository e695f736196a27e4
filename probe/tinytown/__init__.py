"""tinytown: a complete small text-to-image model, its world, its renderer and its training recipe.

A laboratory animal: every claim of the method can be measured against known truth in minutes.
Its figures say nothing about any real model.
"""
