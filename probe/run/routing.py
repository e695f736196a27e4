"""Which expert gets each image: the intervention that the settings of a run ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Double
from probe.errors import DataError, OptionError
from probe.io.files import hash_file
from probe.io.lines import nearest
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.images.intervention import Intervention
    from probe.moesd.mixture.counterfactuals import Counterfactuals
    from probe.moesd.model import MoESD
    from probe.moesd.targets import Target
    from probe.text.lexicon import Lexicon

ROUTERS = ("top1", "stratified", "minimal", "calibrated")
"""Routings of images to experts; see `intervention`."""


def intervention(run: Run, moesd: MoESD, pipeline: Any) -> Intervention:
    """Build the intervention of the settings ``routing``, ``strength`` and ``target``.

    ``top1``: the gate chooses one expert per prompt. ``stratified``: the seed of each image chooses
    its expert. ``minimal``: likewise, but only for the images that the base model's shares lack, as
    estimated from the denoiser. ``calibrated``: one expert per prompt, at the strength that the
    estimated shares require. Experts in the U-Net can only serve ``top1`` at strength 0 or 1.
    """
    from probe.images.intervention import Intervention
    from probe.moesd.routing import (
        CalibratedRouting,
        PartialCorrection,
        StratifiedRouting,
        full_allocation,
        minimal_allocation,
        refuse_unet_experts,
    )

    config = run.config.generate
    strength = config.strength
    if strength == 0:
        return Intervention()
    if strength < 1:
        refuse_unet_experts(moesd)
    target = target_of(run)

    def allocate(prompts: Sequence[str]) -> list[Double]:
        asked = [target.of(prompt) for prompt in prompts]
        if config.routing == "stratified":
            return [full_allocation(shares, strength=strength) for shares in asked]
        base = read_base_shares(run, moesd, pipeline, prompts)
        return [
            minimal_allocation(shares, drawn, strength=strength)
            for shares, drawn in zip(asked, base, strict=True)
        ]

    if config.routing in ("stratified", "minimal"):
        return StratifiedRouting(moesd, allocate)
    whole = moesd.intervention()
    if config.routing == "calibrated":
        whole = CalibratedRouting(
            moesd,
            pipeline,
            counterfactuals_of(run.lexicon),
            lambda prompts: [target.of(prompt) for prompt in prompts],
            guidance_scale=config.guidance_scale,
        )
    return whole if strength == 1 else PartialCorrection(whole, strength)


def target_of(run: Run) -> Target:
    """Read what the setting ``target`` asks for: the shares of (female, male), by subject.

    A table may name only subjects that the run has.
    """
    from probe.moesd.targets import Target

    name, words = run.config.generate.target, run.config.evaluate
    if name == "parity":
        return Target.parity(2)
    if name == "labour":
        jobs = run.lexicon.occupations
        by_subject = {job.name: np.array([job.share_women, 1 - job.share_women]) for job in jobs}
        return Target(np.array([0.5, 0.5]), by_subject)
    if names_table(name):
        target = Target.read(run.path(name), (words.female, words.male))
        _check_subjects(target, name, run.lexicon)
        return target
    share = float(name)
    if not 0 <= share <= 1:
        raise OptionError(f"target is {share:g}; needed a number from 0 to 1")
    return Target(np.array([share, 1 - share]))


def names_table(target: str) -> bool:
    """Tell whether a target names a table of shares, not a known one or a number."""
    try:
        float(target)
    except ValueError:
        return target not in ("parity", "labour")
    return False


def target_line(run: Run) -> str:
    """What the target's file says, to be hashed with the settings; empty if it has none."""
    target = run.config.generate.target
    return hash_file(run.path(target)) if names_table(target) else ""


def counterfactuals_of(lexicon: Lexicon) -> Counterfactuals:
    """Take the words that say each gender from a lexicon: its first adjectives."""
    from probe.moesd.mixture.counterfactuals import Counterfactuals

    first = lexicon.adjectives[0]
    return Counterfactuals((first.female, first.male))


def read_base_shares(run: Run, moesd: MoESD, pipeline: Any, prompts: Sequence[str]) -> Double:
    """Estimate from the denoiser the base model's share of each value, (n_prompts, K)."""
    from probe.moesd.mixture.shares import estimate_shares, guided

    encoder, words = moesd.encoder, counterfactuals_of(run.lexicon)
    counterfactuals = words.states(encoder, moesd.token, prompts)
    found = estimate_shares(pipeline, encoder.states(prompts), counterfactuals)
    return guided(found.shares, run.config.generate.guidance_scale)


def _check_subjects(target: Target, name: str, lexicon: Lexicon) -> None:
    known = [job.name for job in lexicon.occupations]
    lower = {one.lower() for one in known}
    if unknown := [one for one in target.by_subject if one.lower() not in lower]:
        raise DataError(
            f"the target {name} names the subject {unknown[0]!r}{nearest(unknown[0], known)}, "
            f"which is no occupation of this run ({len(unknown)} in all); correct the name, or "
            "delete the line"
        )
