"""The objective on what a classifier sees in the images of each expert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from probe.errors import DataError
from probe.images.intervention import with_states
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model
from probe.moesd.correction import Correction, EncoderExperts
from probe.moesd.experts import Adapter, Experts, with_cells
from probe.text.attributes import values_named

OF_KEPT, OF_OTHERS = 1.0, 0.15
"""Weights of an attribute that is asked to be kept, and of the others that are held; our choice."""
N_STEPS = 6
"""Denoising steps of the images that experts are trained by; our choice."""
_OF_SUBJECT = 5.0
"""Weight of the subject's cross-entropy; with 1, experts of cells lose it (docs/attributes.md)."""
_OF_CHANGE = 0.1
"""Weight of how far experts go from where they started, in units of their shift there. Without it,
an expert that shows its value already goes on, and loses subjects that it has not met."""
_SMOOTHING = 0.1  # of labels: an image that is sure enough teaches no more


@dataclass(frozen=True, eq=False)
class Teacher:
    """A classifier whose view of images trains experts; gradients pass through it."""

    classifier: Any
    """An `AttributeClassifier`."""
    labels: Sequence[tuple[str, Sequence[str]]]
    """Of each corrected attribute, in the order of its values: its name and theirs to it."""
    subject: str
    """The attribute by which it knows subjects."""
    guidance_scale: float
    """Of the images."""
    kept: Sequence[str] = ()
    """Its names of attributes that each image should show as the base model's does."""
    of_kept: float = OF_OTHERS
    """Weight of each of these."""


class ShownValues:
    """Bring the images of each expert to show its value, and the subject, to a classifier.

    An expert that goes as far as its word shows what the image model makes of the word, which may
    be little: tinytown follows "young" in 42 % of images. Each step makes a batch of images from
    noise, of neutral prompts of training occupations, by experts that take turns. The loss is the
    cross-entropy of the expert's values (of a cell: of each of its values), and that of the
    subject, weighted. Attributes that are kept have that with what the base model's image of the
    same noise shows.

    Images are made in `N_STEPS` steps of a deterministic sampler (DDIM; Euler's of flow matching);
    the gradient reaches the experts through the prediction at each step, and not through the
    latents that the step starts from. It trains experts only, of all text encoders.

    Parameters
    ----------
    prompts, subjects : sequence of str
        Neutral prompts of training occupations, and the subject of each. Those whose subject the
        classifier does not know are left out; a `DataError` if it knows none.
    batch_size : int
        Images per step.
    checkpointing : bool
        Hold the denoiser's tensors of one denoising step at a time, and decode image by image: the
        same gradient with a sixth of the memory, and each step is computed twice.

    References
    ----------
    Shen et al., *Finetuning Text-to-Image Diffusion Models for Fairness*, ICLR 2024 (adjusted
    direct finetuning: a gradient without the coupling of steps); Song et al., *Denoising
    Diffusion Implicit Models*, ICLR 2021, equation 12. They fine-tune weights towards a
    distribution of values; an expert has one value. The combination is ours.
    """

    name = "shown values"
    pace = 1.0

    def __init__(
        self,
        correction: Correction,
        prompts: Sequence[str],
        subjects: Sequence[str],
        pipeline: Any,
        teacher: Teacher,
        *,
        batch_size: int,
        seed: int,
        checkpointing: bool = False,
    ) -> None:
        known = teacher.classifier.attributes[teacher.subject]
        rows = [row for row, subject in enumerate(subjects) if subject in known]
        if not rows:
            raise DataError(
                "the classifier that selects knows none of the training occupations, so it cannot "
                "teach experts to show them; set shown_images = 0, or train with another classifier"
            )
        chosen = [prompts[row] for row in rows]
        self._correction, self._teacher = correction, teacher
        self._batch_size, self._checkpointing = batch_size, checkpointing
        self._model = image_model(pipeline)
        for frozen in (self._model.network, pipeline.vae, teacher.classifier.model):
            frozen.requires_grad_(False)
        self._plain = self._model.conditions(chosen)
        self._empty = None
        if self._model.is_guided(teacher.guidance_scale):
            self._empty = self._model.blank_conditions()
        self._subjects = torch.tensor([known.index(subjects[row]) for row in rows])
        self._values = torch.tensor(_values_of_experts(correction, teacher))
        self._inputs = [_Inputs.start(part, chosen) for part in correction.parts]
        self.parameters = [of for part in correction.parts for of in part.experts.parameters()]
        self.rng = torch.Generator().manual_seed(seed)

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        rows, experts, noise = self._draw()
        given, change = self._plain[rows.tolist()], torch.zeros(())
        for part, inputs in zip(self._correction.parts, self._inputs, strict=True):
            states, first, scales = inputs.of(rows, experts)
            corrected = part.experts(states, experts.to(states.device))
            given = with_states(self._model, part, given, corrected, inputs.ids[rows])
            moved = (corrected - first).square().mean(dim=(1, 2)) / scales
            change = change.to(moved) + moved.mean() / len(self._inputs)
        seen = self._seen(given, noise)
        of_subject = seen[self._teacher.subject]
        subjects = self._subjects[rows].to(of_subject.device)
        loss = _OF_SUBJECT * functional.cross_entropy(of_subject, subjects)
        loss = loss + _OF_CHANGE * change.to(loss)
        for (name, _), wanted in zip(self._teacher.labels, self._values[experts].T, strict=True):
            is_asked = (wanted >= 0).to(of_subject.device)
            logits, wanted = seen[name][is_asked], wanted.to(of_subject.device)[is_asked]
            each = functional.cross_entropy(
                logits, wanted, label_smoothing=_SMOOTHING, reduction="sum"
            )
            loss = loss + each / len(rows)
        if self._teacher.kept:
            with torch.no_grad():
                base = self._seen(self._plain[rows.tolist()], noise)
            for name in self._teacher.kept:
                of_base = base[name].softmax(dim=1)
                loss = loss + self._teacher.of_kept * functional.cross_entropy(seen[name], of_base)
        return loss

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._draw()

    def _seen(self, given: Conditions, noise: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the classifier's logits for the images of a batch."""
        latents = self._denoised(given, noise)
        each = [
            self._called(lambda of: self._teacher.classifier.logits(self._model.pixels(of)), part)
            for part in latents.split(1 if self._checkpointing else len(latents))
        ]
        return {name: torch.cat([logits[name] for logits in each]) for name in each[0]}

    def _called(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function, whose tensors are computed again for the gradient if asked for."""
        if not self._checkpointing:
            return function(*args)
        return checkpoint(function, *args, use_reentrant=False)

    def _denoised(self, given: Conditions, noise: torch.Tensor) -> torch.Tensor:
        """Denoise latents of pure noise, and let gradients pass to the conditions."""
        model, schedule, n = self._model, self._model.schedule, len(noise)
        latents = noise.to(given.tensors["prompt_embeds"])
        empty = None if self._empty is None else self._empty.expand(n)
        points = torch.linspace(schedule.last, schedule.first, N_STEPS + 1).round().long()
        for time, then in zip(points[:-1].tolist(), [*points[1:-1].tolist(), None], strict=True):
            times = torch.full((n,), time, device=latents.device)
            start = latents.detach()
            predicted = self._called(model.predict, start, times, given)
            if empty is not None:
                with torch.no_grad():
                    plain = model.predict(start, times, empty)
                predicted = plain + self._teacher.guidance_scale * (predicted - plain)
            latents, left = schedule.parts_of(latents, predicted, times)
            if then is not None:
                latents = schedule.add_noise(latents, left, torch.full_like(times, then))
        return latents

    def _draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw prompts and experts, (batch_size,) each, and the images' noise."""
        n, rng, n_experts = self._batch_size, self.rng, len(self._values)
        rows = torch.randint(len(self._subjects), (n,), generator=rng)
        first = torch.randint(n_experts, (), generator=rng)
        noise = torch.randn(n, *self._model.latent_shape, generator=rng)
        return rows, (first + torch.arange(n)) % n_experts, noise


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What the experts of a text encoder are given, and what they make of it at the start."""

    ids: torch.Tensor
    states: torch.Tensor
    """Shape (n_prompts, n_tokens, n_features), with the special token."""
    first: Experts
    scales: torch.Tensor
    """Shape (n_experts,): mean square of each expert's shift at the start."""

    @classmethod
    @torch.no_grad()
    def start(cls, part: EncoderExperts, prompts: Sequence[str]) -> _Inputs:
        """Encode prompts, and copy the experts as they are."""
        part.token.vector.requires_grad_(False)
        ids, places = part.token.input_ids(part.encoder, prompts)
        states = part.token.states(part.encoder, ids, places).float()
        first = deepcopy(part.experts).requires_grad_(False)
        shifts = (cast(Adapter, of).shift(states) for of in first.adapters.values())
        scales = torch.stack([shift.square().mean() for shift in shifts])
        least = 1e-3 * states.square().mean()  # of experts that move nothing yet
        return cls(ids, states, first, torch.maximum(scales, least))

    @torch.no_grad()
    def of(
        self, rows: torch.Tensor, experts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return a batch's states, what its experts made of them at the start, and their scales."""
        where = self.states.device
        states, experts = self.states[rows.to(where)], experts.to(where)
        return states, self.first(states, experts), self.scales[experts]


def _values_of_experts(correction: Correction, teacher: Teacher) -> list[list[int]]:
    """Place each expert's value of each attribute among those of the classifier; -1 of none."""
    known = teacher.classifier.attributes
    seen = [[*map(known[name].index, labels), -1] for name, labels in teacher.labels]
    attributes = with_cells(correction.attributes, has_cells=correction.has_cells)
    named = [values_named(value, correction.attributes) for of in attributes for value in of.values]
    return [[of[place] for of, place in zip(seen, places, strict=True)] for places in named]
