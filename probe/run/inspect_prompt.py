"""What the gate makes of one prompt: why, how its state moves, and which prompts are near."""

from dataclasses import replace
from typing import Any

import numpy as np

from probe.run.files import EMBEDDINGS
from probe.run.folder import Run
from probe.run.registry import Answer
from probe.run.routing import router_of
from probe.stats.notation import number, percent

N_NEIGHBOURS = 5

Found = dict[str, Any]


def inspect_prompt(run: Run, prompt: str, *, share: bool = False) -> Answer:
    """Run one prompt through the gate and its expert; ``share`` asks the denoiser too.

    The data are those of `probe.moesd.model.MoESD.explain`; ``nearest_before`` and
    ``nearest_after``, the run's prompts nearest to the embedding, each with its ``cosine``; and
    ``share``, of women in the base model's images, as the denoiser indicates it.
    """
    from probe.moesd.base_shares import base_shares
    from probe.text.embeddings import EmbeddingStore

    moesd = run.load_correction()
    explained = moesd.explain(prompt)
    read = None
    if share:
        scale = run.config.generate.guidance_scale
        routed = replace(moesd, router=router_of(run, moesd.router))  # measured guidance too
        found = base_shares(
            routed,
            run.load_pipeline(is_plain=True, encoders=moesd.encoders),
            [prompt],
            guidance_scale=scale,
            are_people=explained["expert"] != "base",
        )
        read = float(found[0, 0])
    store = EmbeddingStore.open(run.folder / EMBEDDINGS)
    for name in ("before", "after"):
        explained[f"nearest_{name}"] = _nearest(store, explained.pop(name), but=prompt)
    answer = explained | {"share": read}
    return Answer(_text(answer), answer)


def _text(found: Found) -> str:
    probabilities = found["probabilities"].items()
    chances = ", ".join(f"{name} {percent(p)}" for name, p in probabilities)
    reason = found["left_alone"] or ("unsure" if found["is_abstained"] else "")
    left = f", left alone: {reason}" if reason else ""
    lines = [
        f"prompt      {found['prompt']}",
        f"bias score  {number(found['bias_score'], 4)} ({_place(found)})",
    ]
    if found["share"] is not None:
        share = f"{percent(found['share'], 0)} women, estimated from the denoiser"
        lines.append(f"share       {share}")
    lines.append(f"gate        {found['route']} ({chances}){left}")
    if found["words"] or found["passed_over"]:
        passed = [f"not {word} ({why})" for word, why in found["passed_over"]]
        lines.append(f"words       {', '.join([*found['words'], *passed])}")
    after = number(found["bias_score_corrected"], 4)
    lines += [
        f"expert      {found['expert']}",
        f"shift       {found['shift']:.4f}; bias score after {after}",
    ]
    for title in ("before", "after"):
        lines.append(f"nearest {title}:")
        lines += [f"  {of['cosine']:.4f}  {of['prompt']}" for of in found[f"nearest_{title}"]]
    return "\n".join(lines)


def _place(found: Found) -> str:
    """What the thresholds alone would say."""
    low, high = found["neutral_below"], found["explicit_above"]
    if abs(found["bias_score"]) < low:
        return f"below {low:.4f}: neutral by the thresholds"
    if abs(found["bias_score"]) > high:
        return f"above {high:.4f}: explicit by the thresholds"
    skew = "male" if found["bias_score"] > 0 else "female"
    return f"between {low:.4f} and {high:.4f}: {skew}-skewed by the thresholds"


def _nearest(store: Any, z: Any, *, but: str) -> list[Found]:
    cosines = store.vectors() @ z  # (n_prompts,): both have unit norm
    order = np.argsort(-cosines, kind="stable")
    prompts = store.prompt_set.prompts
    others = [row for row in order if prompts[row] != but][:N_NEIGHBOURS]
    return [{"prompt": prompts[row], "cosine": float(cosines[row])} for row in others]
