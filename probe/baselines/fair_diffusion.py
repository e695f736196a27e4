"""Fair Diffusion: semantic guidance towards a random gender."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from probe.baselines.method import BASELINES, Material, Method
from probe.baselines.words import SIDES, Lookup, draw_sides
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
    """Guide open prompts towards one gender and away from the other.

    With ``e(p)`` the denoiser's prediction under p and T keeping the largest entries of each
    channel, ``g = T(scale (e(to) - e(""))) - T(scale (e(from) - e("")))`` is added to the
    prediction, with momentum, in the space of the model's own prediction (a linear function of the
    noise). It costs two more calls of the denoiser per step.

    ``edits`` holds the states, (n_tokens, n_features), of the edit prompt of each of `SIDES`, and
    of the empty prompt under ``""``.

    Friedrich et al., *Fair Diffusion: Instructing Text-to-Image Generation Models on Fairness*,
    arXiv 2302.10893, section 4; Brack et al., *SEGA: Instructing Diffusion using Semantic
    Dimensions*, NeurIPS 2023, equations 4 to 9. Not guiding explicit prompts is our choice.
    """

    def __init__(
        self, lookup: Lookup, edits: Mapping[str, torch.Tensor], guidance: Guidance | None = None
    ) -> None:
        self._lookup, self._edits, self._guidance = lookup, edits, guidance or Guidance()
        parts = (edits[name].float().cpu().numpy() for name in (*SIDES, ""))
        self._signature = hash_parts(repr(self._guidance), *parts)

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw a side for every image of an open prompt."""
        sides = draw_sides(prompts, seeds, name="fair-diffusion")
        return [
            Condition(prompt, side if self._lookup.is_open(prompt) else "")
            for prompt, side in zip(prompts, sides, strict=True)
        ]

    def signature(self, condition: Condition) -> str:
        """Name the side and every setting."""
        return f"{condition.route} {self._signature}" if condition.route else ""

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Add the guidance to the denoiser's predictions."""
        sign_of = {"": 0.0, SIDES[0]: 1.0, SIDES[1]: -1.0}
        signs = torch.tensor([sign_of[of.route] for of in conditions])
        if not signs.any():
            yield
            return
        unet, shadowed = pipeline.unet, vars(pipeline.unet).get("forward")
        unet.forward = _Guided(unet.forward, pipeline.scheduler, signs, self._edits, self._guidance)
        try:
            yield
        finally:
            del unet.forward
            if shadowed is not None:
                unet.forward = shadowed


@dataclass
class _Guided:
    """A denoiser's ``forward`` that counts its steps and adds the guidance."""

    plain: Callable[..., Any]
    scheduler: Any
    signs: torch.Tensor
    """1, 0 or -1 of each image."""
    edits: Mapping[str, torch.Tensor]
    guidance: Guidance
    step: int = 0
    momentum: torch.Tensor | float = 0.0

    def __call__(
        self, sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **rest: Any
    ) -> Any:
        rest |= {"return_dict": False}
        settings, n, rows = self.guidance, len(self.signs), self.signs.nonzero()[:, 0]
        predicted = self.plain(sample, timestep, encoder_hidden_states, **rest)[0]
        latents = sample[-n:][rows]
        halves = predicted.split(n)
        is_guided = len(halves) == 2  # the first half is unconditional
        empty = halves[0][rows] if is_guided else self._under("", latents, timestep, rest)
        guidance = torch.zeros_like(empty)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            towards = settings.scale * (self._under(side, latents, timestep, rest) - empty)
            guidance += sign * _largest(towards, settings.threshold)
        guidance = self.signs[rows][:, None, None, None].to(guidance) * guidance
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
        self, name: str, latents: torch.Tensor, timestep: Any, rest: Mapping[str, Any]
    ) -> torch.Tensor:
        states = self.edits[name].to(latents).expand(len(latents), -1, -1)
        predicted: torch.Tensor = self.plain(latents, timestep, states, **rest)[0]
        return predicted


def _largest(values: torch.Tensor, threshold: float) -> torch.Tensor:
    """Zero all but the largest entries of each channel, by their size."""
    sizes = values.abs()
    limit = torch.quantile(sizes.flatten(2).float(), threshold, dim=2).to(values)
    return torch.where(sizes >= limit[..., None, None], values, 0.0)


@BASELINES.register("fair-diffusion")
def build(material: Material) -> Method:
    """Use "male person" and "female person" as edit prompts; nothing is learned."""
    words, pipeline = material.lexicon.adjectives[0], material.pipeline
    prompts = {SIDES[0]: f"{words.female} person", SIDES[1]: f"{words.male} person"}
    edits = dict(zip(prompts, material.encoder.states(list(prompts.values())), strict=True))
    with torch.no_grad():  # by the pipeline, since the encoder takes no empty prompt
        edits[""] = pipeline.encode_prompt([""], pipeline.unet.device, 1, False)[0][0]
    return Method(FairDiffusion(Lookup(material.lexicon), edits), words="images", oracle="prompts")
