"""Text encoders of transformers: prompts -> states by token -> one vector a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from probe.arrays import Indices
from probe.errors import ModelError, ShapeError
from probe.io.progress import Progress
from probe.text.checkpoints import choose_encoder, resolve_model
from probe.text.encoding.conditioning import (
    Conditioning,
    encoder_revision,
    family_conditioning,
    known_conditioning,
)
from probe.text.encoding.layers import (
    check_layer,
    layer_states,
    pooled_output,
    without,
)
from probe.text.encoding.packing import can_pack, end_states
from probe.text.encoding.tokenization import (
    batches_by_length,
    distinct_prompts,
    instruction_ids,
    pad_ids,
    rows_together,
    token_limit,
)
from probe.text.loading import find_device, load_parts
from probe.text.prompts import check_prompts


class TextEncoder:
    """A frozen text encoder with its tokenizer.

    Attributes
    ----------
    id : str
        The name of the model.
    slot : str
        Which text encoder of a pipeline it is, e.g. ``"text_encoder_2"``; "" for one alone.
    revision : str
        The weights and the conditioning; see `probe.text.encoding.conditioning.encoder_revision`.
    conditioning : Conditioning
        Which states condition the image model, and how they are pooled to one vector.
    tokenizer, model
        The transformers objects; the model is in evaluation mode, its weights are frozen.
    n_features : int
        Width of a state.
    max_tokens : int
        Length to which prompts are padded and cut.
    is_causal : bool
        Whether a state depends on nothing after it (CLIP).
    device : torch.device
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        id: str,
        revision: str,
        slot: str = "",
        conditioning: Conditioning | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.id, self.revision, self.slot = id, revision, slot
        self.conditioning = conditioning or family_conditioning(model.config.model_type)
        self.device = find_device(device)
        self.model = model.eval().requires_grad_(False).to(self.device)
        self.tokenizer = tokenizer
        tokenizer.padding_side = "right"  # that of some decoder-only models is the left
        self.n_features = int(model.config.hidden_size)
        self.max_tokens = token_limit(model, tokenizer, self.conditioning.max_tokens)
        self.is_causal = isinstance(model, CLIPTextModel | CLIPTextModelWithProjection)
        if tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of {id} has no padding token; needed one: set it")
        check_layer(model, self.conditioning)

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        encoder: str | None = None,
        conditioning: Conditioning | None = None,
        device: str | torch.device = "cpu",
        allow_pickle: bool = False,
    ) -> TextEncoder:
        """Open a text encoder of a model.

        Parameters
        ----------
        model : str or Path
            As for `probe.text.checkpoints.resolve_model`: a pipeline, or a text encoder alone
            (CLIP, SigLIP, T5, BERT and its variants, or a sentence encoder).
        encoder : str, optional
            Which text encoder of the pipeline, e.g. ``"text_encoder_2"``; the first by default.
        conditioning : Conditioning, optional
            Known for the pipelines and families in `probe.text.encoding.conditioning`; other
            settings become part of the revision.
        device : str
        allow_pickle : bool
            Open weights that exist only as pickle, which can run code.

        Raises
        ------
        ModelError
            If the model is unknown, incomplete, damaged or a pickle, or its conditioning is
            unknown.
        ValueError
            If there is no such text encoder, layer or device.
        """
        folder = resolve_model(model)
        revision = encoder_revision(folder, encoder, conditioning)
        conditioning = conditioning or known_conditioning(folder, encoder)
        network, tokenizer = load_parts(folder, encoder, allow_pickle=allow_pickle)
        return cls(
            network,
            tokenizer,
            id=str(model),
            revision=revision,
            slot=choose_encoder(folder, encoder),
            conditioning=conditioning,
            device=device,
        )

    def tokenize(self, prompts: Sequence[str]) -> torch.Tensor:
        """Turn prompts into token ids, padded as diffusers pads.

        Prompts that are too long are cut off, with a warning of the logger ``probe``.

        Returns
        -------
        int64 Tensor of shape (n_prompts, max_tokens), on the CPU

        Raises
        ------
        DataError
            If a prompt is empty or is no text, or ``prompts`` is one string.
        """
        check_prompts(prompts)
        ids = pad_ids(
            self.tokenizer,
            prompts,
            max_tokens=self.max_tokens,
            lowercase=self.conditioning.lowercase,
            id=self.id,
            start=self.conditioning.instruction,
            n_start=self.n_hidden,
        )
        return without(ids, self.hidden)

    @torch.no_grad()
    def states(self, prompts: Sequence[str], *, batch_size: int = 256) -> torch.Tensor:
        """Encode prompts to the states that condition the image model, by `conditioning`.

        They equal those that the pipeline's ``encode_prompt`` takes from this encoder. Prompts are
        checked and cut as by `tokenize`; a repeated prompt is encoded once.

        Returns
        -------
        float32 Tensor of shape (n_prompts, max_tokens, n_features)
        """
        distinct, rows = distinct_prompts(prompts)
        ids = self.tokenize(distinct)
        if not len(ids):
            return torch.empty(0, self.max_tokens, self.n_features, device=self.device)
        batch_size = min(batch_size, rows_together(ids.shape[1]))
        states = torch.cat([self.forward_ids(batch) for batch in ids.split(batch_size)])
        return states if len(states) == len(prompts) else states[rows]

    def forward_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Encode token ids of shape (n_prompts, n_tokens) to states; gradients pass.

        Returns
        -------
        float32 Tensor of shape (n_prompts, n_tokens, n_features)
        """
        input_ids = input_ids.to(self.device)
        if self.n_hidden:
            first, told = self._instruction
            hidden = torch.tensor(told, device=self.device).expand(len(input_ids), -1)
            input_ids = torch.cat([input_ids[:, :first], hidden, input_ids[:, first:]], dim=1)
        states = layer_states(
            self.model,
            input_ids,
            self.prompt_mask(input_ids) if self.conditioning.masked else None,
            layer=self.conditioning.layer,
            final_norm=self.conditioning.final_norm,
        )
        return without(states, self.hidden)

    @property
    def hidden(self) -> slice:
        """Tokens of the instruction, which are read and left out; they follow a token of start."""
        n_start, told = self._instruction
        return slice(n_start, n_start + len(told))

    @property
    def n_hidden(self) -> int:
        """Number of tokens of the instruction."""
        return len(self._instruction[1])

    @cached_property
    def _instruction(self) -> tuple[int, list[int]]:
        return instruction_ids(self.tokenizer, self.conditioning.instruction)

    @cached_property
    def _has_end(self) -> bool:
        """Whether the tokenizer closes a prompt; those of most decoder-only models do not."""
        return bool(self.tokenizer("a").input_ids[-1] == self.tokenizer.eos_token_id)

    def pool(self, states: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Take one vector from the states of each prompt, as `Conditioning.pooling` says.

        ``states`` are of shape (n_prompts, n_tokens, n_features), ``input_ids`` of (n_prompts,
        n_tokens), the result of (n_prompts, n_features); not normalised. For CLIP it is the state
        at the first end-of-text token, found by its id: transformers takes the largest id where the
        configuration says ``eos_token_id = 2``, as those of Stable Diffusion do, which would be an
        added token.

        Raises
        ------
        ShapeError
            If the shapes do not agree, or a prompt has no end.
        """
        if states.shape[:2] != input_ids.shape:
            raise ShapeError(
                f"states are of shape {tuple(states.shape)} but the token ids of "
                f"{tuple(input_ids.shape)}; needed both for the same prompts and tokens"
            )
        input_ids, pooling = input_ids.to(states.device), self.conditioning.pooling
        mask = self.prompt_mask(input_ids)
        if pooling == "mean":
            weights = mask.unsqueeze(2)
            return (states * weights).sum(dim=1) / weights.sum(dim=1)
        if pooling == "last":
            return states[:, -1]
        if pooling == "last_token":
            return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]
        if pooling == "end":
            mask = (input_ids == self.tokenizer.eos_token_id).int()
            if not bool(mask.any(dim=1).all()):
                raise ShapeError("a prompt has no end-of-text token; take the ids from `tokenize`")
        return states[torch.arange(len(states), device=states.device), mask.argmax(dim=1)]

    def project(self, states: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Compute CLIP's pooled output from `states`, by the layers after theirs; gradients pass.

        ``states`` are of shape (n_prompts, max_tokens, n_features), ``input_ids`` of (n_prompts,
        max_tokens). It is ``text_embeds``, or ``pooler_output`` of an encoder without projection.
        """
        conditioning, ids = self.conditioning, input_ids.to(self.device)
        return pooled_output(
            self.model, ids, states, layer=conditioning.layer, final_norm=conditioning.final_norm
        )

    @torch.no_grad()
    def embed(
        self, prompts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Embed prompts: pooled states, L2-normalised.

        A repeated prompt is encoded once. A causal encoder computes a common beginning of prompts
        once (see `probe.text.encoding.packing`); any other takes prompts in order of length,
        without padding that no state depends on.

        Parameters
        ----------
        prompts : sequence of str
            Checked and cut as by `tokenize`. An `EmbeddingStore` needs less memory for a million.
        batch_size : int
            Prompts that are encoded at a time where they are not packed.
        progress : callable, optional
            Called with (done, total) distinct prompts after each batch.

        Returns
        -------
        float32 ndarray of shape (n_prompts, n_features)
        """
        distinct, order = distinct_prompts(prompts)
        ids = self.tokenize(distinct)
        n_tokens = self.n_needed(ids)
        if self.conditioning.pooling == "end" and can_pack(self.model):
            pooled = end_states(
                self.model,
                ids,
                n_tokens,
                layer=self.conditioning.layer,
                final_norm=self.conditioning.final_norm,
                progress=progress,
            )
            vectors = nn.functional.normalize(pooled, dim=1).cpu().numpy()
        else:
            vectors = np.empty((len(ids), self.n_features), dtype=np.float32)
            n_done, batch_size = 0, min(batch_size, rows_together(n_tokens.max(initial=1)))
            for rows in batches_by_length(n_tokens, batch_size):
                batch = ids[rows, : n_tokens[rows].max()]
                pooled = self.pool(self.forward_ids(batch), batch)
                vectors[rows] = nn.functional.normalize(pooled, dim=1).cpu()
                n_done += len(rows)
                if progress is not None:
                    progress(n_done, len(ids))
        return vectors[order]

    def n_needed(self, ids: torch.Tensor) -> Indices:
        """Count the tokens of each prompt on which its pooled state depends, shape (n_prompts,)."""
        if self.needs_padding:
            return np.full(len(ids), ids.shape[1])
        return self.prompt_mask(ids).sum(dim=1).numpy()

    @property
    def needs_padding(self) -> bool:
        """Whether the states of a prompt, or their pooling, depend on the padding after it.

        Not in a causal encoder or with an attention mask; but in SigLIP, and in T5 as in Stable
        Diffusion 3.
        """
        is_hidden = self.is_causal or self.conditioning.masked
        return not is_hidden or self.conditioning.pooling == "last"

    def prompt_mask(self, ids: torch.Tensor) -> torch.Tensor:
        """Mark the tokens of each prompt with 1, as its tokenizer's attention mask does.

        Where the padding is ambiguous, because CLIP pads with the end itself or with the id of "!",
        these are the tokens up to and with the first end of text, if prompts have one.
        """
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        if not self.is_causal and (pad != end or not self._has_end):
            return torch.ne(ids, pad).long()
        is_end = torch.eq(ids, end).long()
        return torch.eq(is_end.cumsum(dim=1), is_end).long()
