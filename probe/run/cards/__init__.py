"""Model cards of a run: the bias of the model that was looked at, for people and for programs."""

from __future__ import annotations

from probe.run.cards.card import CardResult, bias_card

__all__ = ["CardResult", "bias_card"]
