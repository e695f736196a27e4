"""Concepts that a user can write: groups of words, pairs, templates and targets."""

from probe.text.concepts.concept import (
    FOLDER,
    NEUTRAL,
    Concept,
    Target,
    concept_names,
)

__all__ = [
    "FOLDER",
    "NEUTRAL",
    "Concept",
    "Target",
    "concept_names",
]
