"""The base model's shares under prompts, asked of its denoiser as a correction's router does."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from probe.arrays import Double
from probe.images.models.lookup import image_model
from probe.moesd.correction import Correction
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import EstimatedShares, estimate_shares
from probe.text.attributes import cells_of
from probe.text.templates import fill

_N_CHECKED = 12  # prompts by which a denoiser is checked


def base_shares(
    correction: Correction,
    pipeline: Any,
    prompts: Sequence[str],
    *,
    guidance_scale: float,
    are_people: bool = True,
) -> Double:
    """Estimate from the denoiser the base model's share of each value, (n_prompts, K)."""
    found = _estimated(correction, pipeline, prompts, n_noises=16, are_people=are_people)
    shift = correction.router.shift(guidance_scale, n_values=found.shares.shape[1])
    return shift.apply(found.shares)


def check_explained(correction: Correction, pipeline: Any) -> None:
    """Refuse a denoiser that cannot be asked for shares; see `Router.min_explained`.

    It is asked about some of the subjects that the token knows, the training occupations among
    them: a single prompt with even shares is explained by nothing, though its estimate is right.
    """
    router, subjects = correction.router, correction.token.subjects
    if router.min_explained and subjects:
        rows = np.linspace(0, len(subjects) - 1, min(_N_CHECKED, len(subjects))).astype(int)
        template = "a photo of a {subject}" if correction.token.language is None else "{subject}"
        prompts = [fill(template, subject=subjects[row]) for row in rows]
        found = _estimated(correction, pipeline, prompts, n_noises=4)
        router.check_explained(found.explained, correction.objective)


def _estimated(
    correction: Correction,
    pipeline: Any,
    prompts: Sequence[str],
    *,
    n_noises: int,
    are_people: bool = True,
) -> EstimatedShares:
    model, words = image_model(pipeline), Counterfactuals(cells_of(correction.attributes).words)
    return estimate_shares(
        model,
        model.conditions(prompts),
        words.conditions(model, correction.token, prompts, are_people=are_people),
        n_noises=n_noises,
    )
