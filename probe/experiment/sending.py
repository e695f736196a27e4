"""Who gets each picture: the intervention that the settings of a run ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from probe.experiment.run import Run
from probe.intervention import Intervention

if TYPE_CHECKING:
    from probe.moesd.mixture.twins import Twins
    from probe.moesd.model import MoESD
    from probe.text.lexicon import Lexicon

Double = npt.NDArray[np.float64]


def twins_of(lexicon: Lexicon) -> Twins:
    """Take the words that say each gender from a lexicon: its first adjectives."""
    from probe.moesd.mixture.twins import Twins

    first = lexicon.adjectives[0]
    return Twins((first.female, first.male))


def intervention(run: Run, moesd: MoESD, pipeline: Any) -> Intervention:
    """Build what the setting ``sending`` names.

    ``by-lean``: the gate sends a prompt to one expert. ``by-seed``: the seed of each picture
    chooses its expert. ``sparing``: so does it, but only for as many pictures as the base model's
    shares lack, which are read off the denoiser.
    """
    config = run.config.generate
    if config.sending == "by-lean":
        return moesd.intervention()
    from probe.moesd.mixture.divisions import divide_all, divide_missing
    from probe.moesd.mixture.sampled import SampledRouting

    target = np.array([0.5, 0.5])

    def divide(prompts: Sequence[str]) -> list[Double]:
        if config.sending == "by-seed":
            return [divide_all(target)] * len(prompts)
        shares = read_base_shares(run, moesd, pipeline, prompts)
        return [divide_missing(target, base) for base in shares]

    return SampledRouting(moesd, divide)


def read_base_shares(run: Run, moesd: MoESD, pipeline: Any, prompts: Sequence[str]) -> Double:
    """Read off the denoiser the shares that the base model gives each value, (n_prompts, K)."""
    import torch

    from probe.moesd.mixture.shares import read_shares

    encoder, twins = moesd.encoder, twins_of(run.lexicon)
    said = zip(*(twins.of(prompt, moesd.token) for prompt in prompts), strict=True)
    of_twins = torch.stack([encoder.states(list(of_word)) for of_word in said])
    return read_shares(pipeline, encoder.states(prompts), of_twins).shares
