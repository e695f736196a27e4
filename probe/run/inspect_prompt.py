"""What the gate makes of one prompt: why, how its state moves, and which prompts are near."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from probe.run.files import EMBEDDINGS, MOESD
from probe.run.folder import Run
from probe.run.routing import read_base_shares
from probe.stats.notation import number, percent

N_NEIGHBOURS = 5

Neighbours = list[tuple[str, float]]


@dataclass(frozen=True)
class Inspection:
    """One prompt before and after the gate."""

    prompt: str
    bias_score: float
    """Bias score, from the midpoint; positive is male, in embedding units."""
    neutral_below: float
    """Size of bias score below which the closed-form gate calls a prompt neutral."""
    explicit_above: float
    """Size of bias score above which the closed-form gate calls a prompt explicit."""
    route: str
    """The class that the gate gives it."""
    is_abstained: bool
    """Whether the gate leaned to opening and was not sure enough, so that it stayed closed."""
    words: list[str]
    """Those by which it says a gender, as far as the trained gate looks words up."""
    passed_over: list[tuple[str, str]]
    """Words that could express a gender, and why they do not here."""
    expert: str
    """Who gets it: ``base``, ``toward-female`` or ``toward-male``."""
    probabilities: dict[str, float]
    """Of the four classes, by the trained gate."""
    bias_score_corrected: float
    shift: float
    """Distance between the embeddings before and after; 0 is untouched."""
    nearest_before: Neighbours
    """The run's prompts nearest by cosine, and the cosine."""
    nearest_after: Neighbours
    share: float | None = None
    """Share of women that the denoiser says the base model draws, from 0 to 1; None if it was not
    asked."""

    def summary(self) -> str:
        """A few lines for people."""
        size = abs(self.bias_score)
        if size < self.neutral_below:
            place = f"below {self.neutral_below:.4f}: neutral by the thresholds"
        elif size > self.explicit_above:
            place = f"above {self.explicit_above:.4f}: explicit by the thresholds"
        else:
            skew = "male" if self.bias_score > 0 else "female"
            place = (
                f"between {self.neutral_below:.4f} and {self.explicit_above:.4f}: {skew}-skewed by "
                "the thresholds"
            )
        chances = ", ".join(f"{name} {percent(p)}" for name, p in self.probabilities.items())
        unsure = ", unsure: left alone" if self.is_abstained else ""
        after = number(self.bias_score_corrected, 4)
        lines = [
            f"prompt      {self.prompt}",
            f"bias score  {number(self.bias_score, 4)} ({place})",
            f"gate        {self.route} ({chances}){unsure}",
            f"expert      {self.expert}",
            f"shift       {self.shift:.4f}; bias score after {after}",
        ]
        if self.words or self.passed_over:
            passed = [f"not {word} ({why})" for word, why in self.passed_over]
            lines.insert(3, f"words       {', '.join([*self.words, *passed])}")
        if self.share is not None:
            lines.insert(
                2, f"share       {percent(self.share, 0)} women, estimated from the denoiser"
            )
        for title, neighbours in (("before", self.nearest_before), ("after", self.nearest_after)):
            lines.append(f"nearest {title}:")
            lines += [f"  {cosine:.4f}  {prompt}" for prompt, cosine in neighbours]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        data = asdict(self)
        for name in ("nearest_before", "nearest_after"):
            data[name] = [{"prompt": prompt, "cosine": cosine} for prompt, cosine in data[name]]
        return data


def inspect_prompt(run: Run, prompt: str, *, share: bool = False) -> Inspection:
    """Run one prompt through the gate and the expert, and if asked to ask the denoiser.

    Raises
    ------
    DataError
        If the prompt is empty or no text.
    """
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
    return [(prompts[row], float(cosines[row])) for row in others]
