"""Routing of images to experts, as the router of a correction asks: the interventions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import compress
from typing import Any, Self

import numpy as np
import torch

from probe.arrays import Double
from probe.images.intervention import Condition, Intervention, StateCorrection, with_states
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model
from probe.moesd.base_shares import check_explained
from probe.moesd.correction import Correction, EncoderExperts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.shares import calibrate_weights
from probe.moesd.router import CALIBRATED
from probe.moesd.unet_experts import RoutedUNet, UNetExperts
from probe.text.attributes import cells_of


def routed(
    correction: Correction, pipeline: Any = None, *, guidance_scale: float = 1.0
) -> Intervention:
    """Make the intervention of a correction's router.

    Parameters
    ----------
    pipeline : DiffusionPipeline, optional
        The router ``calibrated`` lets its denoiser predict.
    guidance_scale : float
        Of the images; what this router predicts holds at this guidance.
    """
    router = correction.router
    if router.strength == 0:
        return Intervention()
    if router.kind == "top1":
        experts = correction.unet_experts
        whole: Intervention = StateCorrection(correction)
        if experts is not None:
            whole = Top1Routing(correction, experts)
        parts = [whole]
    else:
        drawn: _Routing = SampledRouting(correction)
        if router.kind == CALIBRATED:
            drawn = CalibratedRouting(correction, pipeline, guidance_scale=guidance_scale)
        parts = [drawn, *map(drawn.on, correction.others)]
    if router.strength != 1 and router.kind in ("top1", CALIBRATED):
        parts = [PartialCorrection(part, router.strength) for part in parts]
    for part, source in zip(parts, correction.parts, strict=True):
        part.source = source
    whole, *whole.others = parts
    return whole


class Top1Routing(StateCorrection):
    """Correct the states, and pass each image through the U-Net experts of its prompt's route."""

    def __init__(self, correction: Correction, experts: UNetExperts) -> None:
        super().__init__(correction)
        self._correction, self._experts = correction, experts
        self._revision = experts.revision

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Give each image the route of its prompt, whatever its seed."""
        distinct = list(dict.fromkeys(prompts))
        routes = dict(zip(distinct, self._correction.routes(distinct), strict=True))
        return [Condition(prompt, routes[prompt]) for prompt in prompts]

    def signature(self, condition: Condition) -> str:
        """Name the experts' weights and the route."""
        return f"unet_experts={self._revision} {condition.route}" if condition.route else ""

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Insert the experts into the denoiser for a batch, if any image has a route."""
        routes = [condition.route for condition in conditions]
        if not any(routes):
            yield
            return
        with RoutedUNet(image_model(pipeline).network, self._experts) as denoiser:
            denoiser.set_routes(routes)
            yield


class _Routing(Intervention):
    """Routing of a prompt's images among experts that the correction's gate opened for it."""

    def __init__(self, correction: Correction) -> None:
        self._correction = correction
        self._on: EncoderExperts = correction

    def on(self, part: EncoderExperts) -> Self:
        """Make the same routing act on another text encoder of the correction."""
        other = copy(self)
        other._on = part
        return other


class CalibratedRouting(_Routing):
    """Apply to each prompt the experts of the values that it lacks, as strong as is needed.

    Their weights are computed once per prompt (see `calibrate_weights`), so that the target is met
    at the guidance scale of the images. Of several attributes, the experts are those of the cells.
    Closed prompts are left unchanged, bit for bit.
    """

    def __init__(self, correction: Correction, pipeline: Any, *, guidance_scale: float) -> None:
        super().__init__(correction)
        self._pipeline, self._guidance_scale = pipeline, guidance_scale
        self._known: dict[str, Double] = {}

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Mark the prompts that open the gate."""
        distinct = list(dict.fromkeys(prompts))
        opened = self._correction.opened(distinct, naming_a_person=True)
        return [Condition(prompt, CALIBRATED if prompt in opened else "") for prompt in prompts]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Replace the states of open prompts by the calibrated ones."""
        corrected = states.clone()
        for row, condition in enumerate(conditions):
            if condition.route:
                weights = self._weights(condition.prompt)
                encoded, _ = self._on.encode_weighted([condition.prompt], weights[None])
                corrected[row] = encoded[0].to(states)
        return corrected

    def _weights(self, prompt: str) -> Double:
        if not self._known:
            check_explained(self._correction, self._pipeline)
        if prompt not in self._known:
            correction, model = self._correction, image_model(self._pipeline)
            [opens] = correction.opened([prompt], naming_a_person=True).values()
            experts = np.stack([*correction.variants(opens).values()])
            words = cells_of([*compress(correction.attributes, opens)]).words
            plain = model.conditions([prompt])
            counterfactuals = Counterfactuals(words).conditions(
                model, correction.token, [prompt], are_people=True
            )

            def given_at(weights: Double) -> Conditions:
                given, prompts = plain.expand(len(weights)), [prompt] * len(weights)
                for part in correction.parts:
                    encoded = part.encode_weighted(prompts, weights @ experts)
                    given = with_states(model, part, given, *encoded)
                return given

            shift = correction.router.shift(self._guidance_scale, n_values=len(words))
            target = shift.invert(correction.target(prompt, opens)[None])[0]
            found = calibrate_weights(model, given_at, counterfactuals, target)
            self._known[prompt] = found @ experts
        return self._known[prompt]


class SampledRouting(_Routing):
    """Let the gate select prompts, and each image's seed the expert.

    With top-1 routing one expert gets all images of a prompt and must shift their shares by the
    right amount; here it only has to produce its value, as the objective ``counterfactual`` trains
    it, and the shares follow from the draws (see `probe.moesd.router.Router.draw`). Of several
    attributes, a cell is drawn of those in which the prompt is open; see `Correction.variants`.
    Closed prompts, and images allocated to the base model, do not change by a bit.
    """

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw each image's route from its prompt and seed."""
        correction = self._correction
        opened = correction.opened(list(dict.fromkeys(prompts)))
        cells = {opens: ["", *correction.variants(opens)] for opens in opened.values()}
        shares = {of: correction.allocation(of, opens) for of, opens in opened.items()}
        draw = correction.router.draw
        return [
            Condition(
                prompt,
                cells[opened[prompt]][draw(prompt, seed, shares[prompt])]
                if prompt in opened
                else "",
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Apply to each condition the expert of its route."""
        rows = [row for row, condition in enumerate(conditions) if condition.route]
        if not rows:
            return states
        prompts = [conditions[row].prompt for row in rows]
        variants = self._correction.all_variants()
        weights = np.stack([variants[conditions[row].route] for row in rows])
        corrected = states.clone()
        encoded, _ = self._on.encode_weighted(prompts, weights)
        corrected[rows] = encoded.to(states)
        return corrected


class PartialCorrection(Intervention):
    """Interpolate between the states of the base model and of a correction: ``x + s (x' - x)``.

    Strength s is between 0 (base model) and 1 (``inner``, a correction that changes states only).
    """

    def __init__(self, inner: Intervention, strength: float) -> None:
        self._inner, self._strength = inner, strength

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Return the conditions of the whole correction."""
        return self._inner.conditions(prompts, seeds)

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Interpolate the states."""
        corrected = self._inner.correct(conditions, states)
        # Rounding must not change the rows that `inner` leaves alone.
        is_kept = (corrected == states).flatten(1).all(dim=1)[:, None, None]
        return torch.where(is_kept, states, states + self._strength * (corrected - states))
