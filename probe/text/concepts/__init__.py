"""Concepts that a user can write: groups of words, pairs, templates and targets."""

from probe.text.concepts.concept import FOLDER, Concept, concept_names
from probe.text.concepts.words import Target

__all__ = ["FOLDER", "Concept", "Target", "concept_names"]
