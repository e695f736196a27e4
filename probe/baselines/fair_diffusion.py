"""Fair Diffusion: semantic guidance towards a random value of each attribute."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from probe.baselines.method import BASELINES, Material, Method
from probe.baselines.words import Lookup, draw_values
from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts


@dataclass(frozen=True)
class Guidance:
    """Settings of semantic guidance; the defaults are from Fair Diffusion's experiments."""

    scale: float = 4.0
    threshold: float = 0.95
    """Share of each channel's entries, the smallest, that get no guidance."""
    momentum_scale: float = 0.5
    momentum_beta: float = 0.6
    warmup: float = 0.1
    """Share of the steps before the guidance starts; 5 of 50 there."""


class FairDiffusion(Intervention):
    """Guide open prompts towards one value of each attribute and away from the others.

    With ``e(p)`` the denoiser's prediction under p and T keeping the largest entries of each
    channel, ``g = T(scale (e(to) - e(""))) - T(scale (e(from) - e("")))`` is added to the
    prediction, with momentum, in the space of the model's own prediction (a linear function of the
    noise). It costs one more call of the denoiser per step and value.

    ``edits`` holds, for each attribute, the states, (n_tokens, n_features), of the edit prompt of
    each value; ``empty`` are those of the empty prompt.

    Friedrich et al., *Fair Diffusion: Instructing Text-to-Image Generation Models on Fairness*,
    arXiv 2302.10893, section 4; Brack et al., *SEGA: Instructing Diffusion using Semantic
    Dimensions*, NeurIPS 2023, equations 4 to 9. Not guiding explicit prompts is our choice, and so
    is the mean over the others where an attribute has more than two values.
    """

    def __init__(
        self,
        lookup: Lookup,
        edits: Sequence[Mapping[str, torch.Tensor]],
        empty: torch.Tensor,
        guidance: Guidance | None = None,
    ) -> None:
        self._lookup, self.edits, self.empty = lookup, edits, empty
        self._guidance = guidance or Guidance()
        states = (*chain.from_iterable(of.values() for of in edits), empty)
        parts = (of.float().cpu().numpy() for of in states)
        self._signature = hash_parts(repr(self._guidance), *parts)

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw a value of each attribute for every image of an open prompt."""
        look = self._lookup
        values = draw_values(prompts, seeds, name="fair-diffusion", values=[*look.values])
        return [
            Condition(prompt, value if look.is_open(prompt) else "")
            for prompt, value in zip(prompts, values, strict=True)
        ]

    def signature(self, condition: Condition) -> str:
        """Name the value and every setting."""
        return f"{condition.route} {self._signature}" if condition.route else ""

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Add the guidance to the denoiser's predictions."""
        weights = torch.tensor([self._weights(of.route) for of in conditions])
        if not weights.any():
            yield
            return
        unet, shadowed = pipeline.unet, vars(pipeline.unet).get("forward")
        states = [*chain.from_iterable(of.values() for of in self.edits)]
        guided = _Guided(
            unet.forward, pipeline.scheduler, weights, states, self.empty, self._guidance
        )
        unet.forward = guided
        try:
            yield
        finally:
            del unet.forward
            if shadowed is not None:
                unet.forward = shadowed

    def _weights(self, route: str) -> list[float]:
        """Weight of each edit prompt: 1 of the value drawn, less 1 in all for the others."""
        if not route:
            return [0.0] * sum(map(len, self.edits))
        return [
            1.0 if value == drawn else -1 / (len(of) - 1)
            for of, drawn in zip(self.edits, self._lookup.values[route], strict=True)
            for value in of
        ]


@dataclass
class _Guided:
    """A denoiser's ``forward`` that counts its steps and adds the guidance."""

    plain: Callable[..., Any]
    scheduler: Any
    weights: torch.Tensor
    """Of each image and edit prompt, (n_images, n_edits)."""
    edits: Sequence[torch.Tensor]
    empty: torch.Tensor
    guidance: Guidance
    step: int = 0
    momentum: torch.Tensor | float = 0.0

    def __call__(
        self, sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **rest: Any
    ) -> Any:
        rest |= {"return_dict": False}
        settings, n = self.guidance, len(self.weights)
        rows = self.weights.any(dim=1).nonzero()[:, 0]
        predicted = self.plain(sample, timestep, encoder_hidden_states, **rest)[0]
        latents = sample[-n:][rows]
        halves = predicted.split(n)
        is_guided = len(halves) == 2  # the first half is unconditional
        empty = halves[0][rows] if is_guided else self._under(self.empty, latents, timestep, rest)
        guidance = torch.zeros_like(empty)
        of_images = self.weights[rows].T[..., None, None, None].to(guidance)
        for edit, weight in zip(self.edits, of_images, strict=True):
            towards = settings.scale * (self._under(edit, latents, timestep, rest) - empty)
            guidance += weight * _largest(towards, settings.threshold)
        guidance = guidance + settings.momentum_scale * self.momentum
        beta = settings.momentum_beta
        self.momentum = beta * self.momentum + (1 - beta) * guidance
        if self.step >= round(settings.warmup * len(self.scheduler.timesteps)):
            predicted = predicted.clone()
            for half in predicted.split(n):  # both, whatever the guidance scale
                half[rows] += guidance
        self.step += 1
        return (predicted,)

    def _under(
        self, states: torch.Tensor, latents: torch.Tensor, timestep: Any, rest: Mapping[str, Any]
    ) -> torch.Tensor:
        states = states.to(latents).expand(len(latents), -1, -1)
        predicted: torch.Tensor = self.plain(latents, timestep, states, **rest)[0]
        return predicted


def _largest(values: torch.Tensor, threshold: float) -> torch.Tensor:
    """Zero all but the largest entries of each channel, by their size."""
    sizes = values.abs()
    limit = torch.quantile(sizes.flatten(2).float(), threshold, dim=2).to(values)
    return torch.where(sizes >= limit[..., None, None], values, 0.0)


@BASELINES.register("fair-diffusion")
def build(material: Material) -> Method:
    """Use "female person" and "male person", or the words of others, as edit prompts."""
    pipeline, edits = material.pipeline, []
    for of in material.attributes:
        states = material.encoder.states([f"{word} person" for word in of.words])
        edits.append(dict(zip(of.values, states, strict=True)))
    with torch.no_grad():  # by the pipeline, since the encoder takes no empty prompt
        empty = pipeline.encode_prompt([""], pipeline.unet.device, 1, False)[0][0]
    lookup = Lookup(material.lexicon, material.attributes)
    return Method(FairDiffusion(lookup, edits, empty), words="images", oracle="prompts")
