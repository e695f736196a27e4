"""Fair Diffusion: semantic guidance towards a gender that is drawn by chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from probe.baselines.lookup import SIDES, Lookup, draw_sides
from probe.baselines.method import Material, Method
from probe.images.intervention import Condition, Intervention
from probe.io.artifacts import hash_parts


@dataclass(frozen=True)
class Guidance:
    """Settings of semantic guidance; the defaults are those of Fair Diffusion's experiments."""

    scale: float = 4.0
    threshold: float = 0.95
    """Share of each channel's smallest entries that are left alone."""
    momentum_scale: float = 0.5
    momentum_beta: float = 0.6
    warmup: float = 0.1
    """Share of the steps that pass before the guidance acts; 5 of 50 there."""


class FairDiffusion(Intervention):
    """Guide open prompts towards one gender and away from the other.

    With ``e(p)`` the denoiser's prediction under p and T keeping the largest entries of each
    channel, ``g = T(scale (e(to) - e(""))) - T(scale (e(from) - e("")))`` is added to the
    prediction, with momentum. It is added in the space of the model's own prediction, of which the
    noise is a linear function. It costs two more calls of the denoiser a step.

    Parameters
    ----------
    lookup : Lookup
        Which prompts are guided.
    said : mapping from str to Tensor
        States of shape (n_tokens, n_features) of the edit prompt of each of `SIDES`, and of the
        empty prompt under ``""``.
    guidance : Guidance

    References
    ----------
    Friedrich et al., *Fair Diffusion: Instructing Text-to-Image Generation Models on Fairness*,
    arXiv 2302.10893, section 4; Brack et al., *SEGA: Instructing Diffusion using Semantic
    Dimensions*, NeurIPS 2023, equations 4 to 9. That a prompt which says a gender is not guided is
    our choice: who asks for one does not ask for chance.
    """

    def __init__(
        self, lookup: Lookup, said: Mapping[str, torch.Tensor], guidance: Guidance | None = None
    ) -> None:
        self._lookup, self._said, self._guidance = lookup, said, guidance or Guidance()
        parts = (said[name].float().cpu().numpy() for name in (*SIDES, ""))
        self._signature = hash_parts(repr(self._guidance), *parts)

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw a side for every picture of an open prompt."""
        sides = draw_sides(prompts, seeds, name="fair-diffusion")
        return [
            Condition(prompt, side if self._lookup.is_open(prompt) else "")
            for prompt, side in zip(prompts, sides, strict=True)
        ]

    def signature(self, condition: Condition) -> str:
        """Name the side and every setting."""
        return f"{condition.route} {self._signature}" if condition.route else ""

    def denoising(
        self, pipeline: Any, conditions: Sequence[Condition]
    ) -> AbstractContextManager[None]:
        """Add the guidance to what the denoiser predicts."""
        signs = torch.tensor(
            [{"": 0.0, SIDES[0]: 1.0, SIDES[1]: -1.0}[of.route] for of in conditions]
        )
        if not signs.any():
            return nullcontext()
        return self._guiding(pipeline, signs)

    @contextmanager
    def _guiding(self, pipeline: Any, signs: torch.Tensor) -> Iterator[None]:
        unet, own = pipeline.unet, vars(pipeline.unet).get("forward")
        unet.forward = _Guided(unet.forward, pipeline.scheduler, signs, self._said, self._guidance)
        try:
            yield
        finally:
            del unet.forward
            if own is not None:
                unet.forward = own


class _Guided:
    """A denoiser's ``forward`` that counts its steps and adds the guidance."""

    def __init__(
        self,
        plain: Callable[..., Any],
        scheduler: Any,
        signs: torch.Tensor,
        said: Mapping[str, torch.Tensor],
        guidance: Guidance,
    ) -> None:
        self._plain, self._scheduler, self._guidance = plain, scheduler, guidance
        self._n = len(signs)
        self._rows = signs.nonzero()[:, 0]
        self._signs = signs[self._rows][:, None, None, None]
        self._said = said
        self._step, self._momentum = 0, torch.zeros(())

    def __call__(
        self, sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **rest: Any
    ) -> Any:
        rest |= {"return_dict": False}
        predicted = self._plain(sample, timestep, encoder_hidden_states, **rest)[0]
        latents = sample[-self._n :][self._rows]
        halves = predicted.split(self._n)
        if len(halves) == 2:  # guided by the prompt too: the first half is without it
            empty = halves[0][self._rows]
        else:
            empty = self._under("", latents, timestep, rest)
        guidance = torch.zeros_like(empty)
        for side, sign in zip(SIDES, (1, -1), strict=True):
            towards = self._guidance.scale * (self._under(side, latents, timestep, rest) - empty)
            guidance += sign * _largest(towards, self._guidance.threshold)
        guidance = self._signs.to(guidance) * guidance
        guidance = guidance + self._guidance.momentum_scale * self._momentum
        beta = self._guidance.momentum_beta
        self._momentum = beta * self._momentum + (1 - beta) * guidance
        if self._step >= round(self._guidance.warmup * len(self._scheduler.timesteps)):
            predicted = predicted.clone()
            for half in predicted.split(self._n):  # in both halves, so that no scale changes it
                half[self._rows] += guidance
        self._step += 1
        return (predicted,)

    def _under(
        self, said: str, latents: torch.Tensor, timestep: Any, rest: Mapping[str, Any]
    ) -> torch.Tensor:
        states = self._said[said].to(latents).expand(len(latents), -1, -1)
        predicted: torch.Tensor = self._plain(latents, timestep, states, **rest)[0]
        return predicted


def _largest(values: torch.Tensor, threshold: float) -> torch.Tensor:
    """Zero all but the largest entries of each channel, by their size."""
    sizes = values.abs()
    limit = torch.quantile(sizes.flatten(2).float(), threshold, dim=2).to(values)
    return torch.where(sizes >= limit[..., None, None], values, 0.0)


def build(material: Material) -> Method:
    """Take "male person" and "female person" for the edit prompts; nothing is learnt."""
    words = material.lexicon.adjectives[0]
    prompts = {SIDES[0]: f"{words.female} person", SIDES[1]: f"{words.male} person"}
    said = dict(zip(prompts, material.encoder.states(list(prompts.values())), strict=True))
    said[""] = _empty_states(material)
    return Method(FairDiffusion(Lookup(material.lexicon), said))


def _empty_states(material: Material) -> torch.Tensor:
    """States without a prompt, as the pipeline guides by them; no prompt set holds an empty one."""
    pipeline = material.pipeline
    with torch.no_grad():
        states: torch.Tensor = pipeline.encode_prompt(
            [""],
            pipeline.unet.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )[0][0]
    return states
