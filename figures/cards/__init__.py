"""Model cards of a run, for people and for programs of the Hugging Face hub."""

from figures.cards.card import CardResult, bias_card, correction_card

__all__ = ["CardResult", "bias_card", "correction_card"]
