"""Concepts that a user can write: groups of words, pairs, templates and targets."""

from probe.text.concepts.concept import FOLDER, Concept, Target, concept_names

__all__ = ["FOLDER", "Concept", "Target", "concept_names"]
