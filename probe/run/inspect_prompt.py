"""What the gate makes of one prompt: why, how its state moves, and which prompts are near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from probe.run.files import EMBEDDINGS, MOESD
from probe.run.folder import Run
from probe.run.registry import Record
from probe.run.routing import read_base_shares
from probe.stats.notation import number, percent

N_NEIGHBOURS = 5

Neighbours = list[dict[str, Any]]
"""``prompt`` and ``cosine`` of each."""


@dataclass(frozen=True)
class Inspection(Record):
    """One prompt before and after the gate; `probe.moesd.model.MoESD.explain` says more."""

    prompt: str
    bias_score: float
    """From the midpoint; positive is male, in embedding units."""
    neutral_below: float
    explicit_above: float
    route: str
    is_abstained: bool
    """Whether the gate leaned to opening and was not sure enough, so that it stayed closed."""
    words: list[str]
    passed_over: list[tuple[str, str]]
    expert: str
    """``base``, ``toward-female`` or ``toward-male``."""
    probabilities: dict[str, float]
    bias_score_corrected: float
    shift: float
    nearest_before: Neighbours
    """The run's prompts nearest by cosine to the embedding before the correction."""
    nearest_after: Neighbours
    share: float | None = None
    """Share of women in the base model's images as the denoiser indicates it, if it was asked."""

    def summary(self) -> str:
        """A few lines for people."""
        chances = ", ".join(f"{name} {percent(p)}" for name, p in self.probabilities.items())
        unsure = ", unsure: left alone" if self.is_abstained else ""
        after = number(self.bias_score_corrected, 4)
        lines = [
            f"prompt      {self.prompt}",
            f"bias score  {number(self.bias_score, 4)} ({self._place()})",
        ]
        if self.share is not None:
            share = f"{percent(self.share, 0)} women, estimated from the denoiser"
            lines.append(f"share       {share}")
        lines.append(f"gate        {self.route} ({chances}){unsure}")
        if self.words or self.passed_over:
            passed = [f"not {word} ({why})" for word, why in self.passed_over]
            lines.append(f"words       {', '.join([*self.words, *passed])}")
        lines += [
            f"expert      {self.expert}",
            f"shift       {self.shift:.4f}; bias score after {after}",
        ]
        for title, neighbours in (("before", self.nearest_before), ("after", self.nearest_after)):
            lines.append(f"nearest {title}:")
            lines += [f"  {of['cosine']:.4f}  {of['prompt']}" for of in neighbours]
        return "\n".join(lines)

    def _place(self) -> str:
        """What the thresholds alone would say."""
        size, low, high = abs(self.bias_score), self.neutral_below, self.explicit_above
        if size < low:
            return f"below {low:.4f}: neutral by the thresholds"
        if size > high:
            return f"above {high:.4f}: explicit by the thresholds"
        skew = "male" if self.bias_score > 0 else "female"
        return f"between {low:.4f} and {high:.4f}: {skew}-skewed by the thresholds"


def inspect_prompt(run: Run, prompt: str, *, share: bool = False) -> Inspection:
    """Run one prompt through the gate and its expert; ``share`` asks the denoiser too."""
    from probe.moesd.model import MoESD
    from probe.text.embeddings import EmbeddingStore

    moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
    explained = moesd.explain(prompt)
    read = None
    if share:
        [[read, _]] = read_base_shares(run, moesd, run.load_pipeline(), [prompt]).tolist()
    store = EmbeddingStore.open(run.folder / EMBEDDINGS)
    before, after = explained.pop("before"), explained.pop("after")
    return Inspection(
        **explained,
        nearest_before=_nearest(store, before, but=prompt),
        nearest_after=_nearest(store, after, but=prompt),
        share=read,
    )


def _nearest(store: Any, z: Any, *, but: str) -> Neighbours:
    cosines = store.vectors() @ z  # (n_prompts,): both have unit norm
    order = np.argsort(-cosines, kind="stable")
    prompts = store.prompt_set.prompts
    others = [row for row in order if prompts[row] != but][:N_NEIGHBOURS]
    return [{"prompt": prompts[row], "cosine": float(cosines[row])} for row in others]
