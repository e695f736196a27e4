"""How good pictures are: what they show of their prompts, and how far two sets of them differ."""

from __future__ import annotations

from probe.images.quality.clip_score import ClipScorer
from probe.stats.intervals import mean_interval

__all__ = ["ClipScorer", "mean_interval"]
