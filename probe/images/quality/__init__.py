"""How good pictures are: what they show of their prompts, and how far two sets of them differ."""

from __future__ import annotations

from probe.images.intervals import mean_interval
from probe.images.quality.clip_score import ClipScorer

__all__ = ["ClipScorer", "mean_interval"]
