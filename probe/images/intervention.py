"""What a method may change while images are generated: prompts, states, the denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from probe.images.models.conditions import Conditions
    from probe.images.models.model import ImageModel
    from probe.text.encoder import TextEncoder


@dataclass(frozen=True)
class Condition:
    """What one image is generated under; images of equal conditions differ in their noise only."""

    prompt: str
    """The text that is encoded."""
    route: str = ""
    """Which variant of the method applies to this image; empty if there is only one."""


class Corrector(Protocol):
    """Anything that edits the states which condition the image model."""

    def correct(self, prompts: Sequence[str], states: torch.Tensor) -> torch.Tensor:
        """Map states of shape (n_prompts, n_tokens, n_features) to corrected ones."""


@dataclass(frozen=True, eq=False)
class Source:
    """The text encoder whose states a method edits; a method may insert tokens of its own."""

    encoder: TextEncoder

    def input_ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Tokenize prompts, (n_prompts, max_tokens), with the tokens that the method inserts."""
        return self.encoder.tokenize(prompts)

    def project(self, states: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Compute the pooled output from states; see `TextEncoder.project`."""
        return self.encoder.project(states, input_ids)


class Intervention:
    """Base class of methods; itself the base model.

    A method overrides what it changes. Whatever it does not change must be equal bit for bit, so
    that an unaffected image is the base model's, and is not generated again.
    """

    source: Source | None = None
    """Where the states that `correct` edits come from; None: the model's first text encoder, whose
    pooled vector and attention mask stay as they are."""
    others: Sequence[Intervention] = ()
    """The same method on further text encoders: `correct` of each, under this one's conditions."""

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Choose the condition of each image from its prompt and the seed of its noise.

        The seed is the only source of randomness.
        """
        return [Condition(prompt) for prompt in prompts]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states (n_conditions, n_tokens, n_features) of distinct conditions.

        The given tensor must not be modified.
        """
        return states

    def signature(self, condition: Condition) -> str:
        """Name what `denoising` changes under a condition; empty if nothing.

        Equal signatures must mean equal images, given equal states and noise: they contain the
        revision of adapters and every setting.
        """
        return ""

    def denoising(
        self, pipeline: Any, conditions: Sequence[Condition]
    ) -> AbstractContextManager[None]:
        """Change the denoiser while one batch is generated, and restore it.

        There is one condition per image of the batch, in its order. With guidance the pipeline's
        ``unet`` gets the batch twice: first unconditional, then conditional.
        """
        return nullcontext()


class StateCorrection(Intervention):
    """The intervention of a `Corrector`: it edits states only."""

    def __init__(self, corrector: Corrector) -> None:
        self._corrector = corrector

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states by the prompts."""
        return self._corrector.correct([condition.prompt for condition in conditions], states)


def corrected(
    model: ImageModel, method: Intervention, conditions: Sequence[Condition], given: Conditions
) -> Conditions:
    """Apply a method to what text encoders give the image model under distinct conditions.

    The states are edited by `Intervention.correct`; the pooled vector is what the encoder's last
    layers make of the edited states, and the attention mask is that of the method's tokens. What
    other text encoders give stays.
    """
    for part in (method, *method.others):
        given = _corrected(model, part, conditions, given)
    return given


def _corrected(
    model: ImageModel, method: Intervention, conditions: Sequence[Condition], given: Conditions
) -> Conditions:
    if type(method).correct is Intervention.correct:
        return given
    source, prompts = method.source, [condition.prompt for condition in conditions]
    place = model.place("" if source is None else source.encoder.slot)
    if place.states:
        before = place.read(given)
    elif source is not None:
        before = source.encoder.states(prompts)
    else:
        return given
    after = method.correct(conditions, before)
    if source is None:
        return place.write(given, after)
    rows = (after != before).flatten(1).any(dim=1).nonzero()[:, 0].tolist()
    if not rows:
        return given
    ids = source.input_ids([prompts[row] for row in rows])
    return given.with_rows(rows, with_states(model, source, given[rows], after[rows], ids))


def with_states(
    model: ImageModel,
    source: Source,
    given: Conditions,
    states: torch.Tensor,
    input_ids: torch.Tensor,
) -> Conditions:
    """Replace everything that a text encoder gives the image model; gradients pass.

    Parameters
    ----------
    states : Tensor of shape (n_images, n_tokens, n_features)
        New states of the encoder.
    input_ids : Tensor of shape (n_images, n_tokens)
        The tokens that they are of.
    """
    place = model.place(source.encoder.slot)
    if place.states:
        given = place.write(given, states)
    tensors: dict[str, torch.Tensor] = {}
    if place.pooled is not None:
        pooled = tensors["pooled_prompt_embeds"] = given.tensors["pooled_prompt_embeds"].clone()
        pooled[:, place.pooled] = source.project(states, input_ids).to(pooled)
    if place.mask:
        mask = source.encoder.prompt_mask(input_ids)
        tensors[place.mask] = mask.to(given.tensors[place.mask])
    return given.changed(tensors)
