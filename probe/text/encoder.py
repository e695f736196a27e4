"""Any transformers text encoder: prompts -> states by token -> one vector a prompt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from probe.errors import ModelError, ShapeError
from probe.text.batching import batches_by_length
from probe.text.checkpoints import model_revision, resolve_model
from probe.text.loading import find_device, load_parts
from probe.text.packing import can_pack, end_states
from probe.text.prompts import check_prompt

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

_logger = logging.getLogger("probe")


class TextEncoder:
    """A frozen text encoder with its tokenizer.

    Two kinds are told apart by what their tokenizer does. One that closes every prompt with an
    end-of-text token (CLIP) is pooled at the first such token; one that does not, or whose folder
    is a sentence-transformers one (MiniLM), is pooled by the mean over the attention mask.

    Attributes
    ----------
    id : str
        The name it was opened by.
    revision : str
        Which weights these are; see `probe.text.checkpoints.model_revision`.
    tokenizer, model
        The transformers objects; the model is in evaluation mode and takes no gradient.
    n_features : int
        Width of a state.
    max_tokens : int
        Length to which prompts are padded and cut.
    device : torch.device
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        id: str,
        revision: str,
        takes_mean: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        self.id, self.revision = id, revision
        self.device = find_device(device)
        self.model = model.eval().requires_grad_(False).to(self.device)
        self.tokenizer = tokenizer
        self.n_features = int(model.config.hidden_size)
        # A tokenizer without a limit says 10^30; models without one (T5) were trained on 512.
        limit = getattr(model.config, "max_position_embeddings", 512)
        self.max_tokens = min(int(tokenizer.model_max_length), int(limit))
        self._is_causal = isinstance(model, CLIPTextModel | CLIPTextModelWithProjection)
        closes = tokenizer.eos_token_id in tokenizer("a").input_ids
        self._takes_mean = takes_mean or not closes
        if tokenizer.pad_token_id is None:
            raise ModelError(f"the tokenizer of {id} has no padding token; needed one: set it")

    @classmethod
    def load(
        cls, model: str | Path, *, device: str | torch.device = "cpu", allow_pickle: bool = False
    ) -> TextEncoder:
        """Open the text encoder of a model.

        Parameters
        ----------
        model : str or Path
            As for `probe.text.checkpoints.resolve_model`. The folder is a pipeline's, whose
            ``text_encoder`` and ``tokenizer`` are opened, or a transformers one: CLIP, or any
            bidirectional encoder.
        device : str
            Where its weights live, e.g. ``"cuda"``.
        allow_pickle : bool
            Open weights that are only there as pickle, which can run code.

        Raises
        ------
        ModelError
            If the model is unknown or incomplete, its weights are truncated, do not fit its
            configuration, or are a pickle.
        ValueError
            If there is no such device.
        """
        folder = resolve_model(model)
        network, tokenizer = load_parts(folder, allow_pickle=allow_pickle)
        return cls(
            network,
            tokenizer,
            id=str(model),
            revision=model_revision(folder),
            takes_mean=(folder / "1_Pooling").is_dir(),
            device=device,
        )

    def tokenize(self, prompts: Sequence[str]) -> torch.Tensor:
        """Turn prompts into token ids, padded as diffusers pads.

        Prompts that are too long are cut off, which the logger ``probe`` announces.

        Returns
        -------
        int64 Tensor of shape (n_prompts, max_tokens), on the CPU

        Raises
        ------
        DataError
            If a prompt is empty or is no text.
        """
        for prompt in prompts:
            check_prompt(prompt)
        if not prompts:
            return torch.empty(0, self.max_tokens, dtype=torch.int64)
        if n_cut := self._count_too_long(prompts):
            _logger.warning(
                "%d of %d prompts are longer than the %d tokens of %s and were cut off",
                *(n_cut, len(prompts), self.max_tokens, self.id),
            )
        ids: torch.Tensor = self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.max_tokens,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return ids

    @torch.no_grad()
    def states(self, prompts: Sequence[str], *, batch_size: int = 256) -> torch.Tensor:
        """Encode prompts to what conditions the image model.

        These are the last states after the final normalisation, of padded prompts without an
        attention mask, exactly as StableDiffusionPipeline takes them. Prompts are checked and cut
        as by `tokenize`; a repeated prompt is encoded once.

        Returns
        -------
        float32 Tensor of shape (n_prompts, max_tokens, n_features)
        """
        row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
        ids = self.tokenize(list(row_of))
        if not len(ids):
            return torch.empty(0, self.max_tokens, self.n_features, device=self.device)
        states = torch.cat([self.forward_ids(batch) for batch in ids.split(batch_size)])
        if len(states) == len(prompts):
            return states
        return states[[row_of[prompt] for prompt in prompts]]

    def forward_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Encode token ids; gradients pass, so that a token can be trained.

        Parameters
        ----------
        input_ids : int64 Tensor of shape (n_prompts, n_tokens)

        Returns
        -------
        float32 Tensor of shape (n_prompts, n_tokens, n_features)
        """
        input_ids = input_ids.to(self.device)
        mask = None if self._is_causal else self._mask(input_ids)
        states: torch.Tensor = self.model(input_ids, attention_mask=mask).last_hidden_state
        return states

    def pool(self, states: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Take one vector from the states of each prompt; not normalised.

        It is the state at the first end-of-text token, found by its id: transformers' own pooling
        takes the largest id where the configuration says ``eos_token_id = 2``, as Stable Diffusion
        v1.x's does, and there any added token would be taken for the end. For an encoder without
        an end of text it is the mean over the attention mask.

        Parameters
        ----------
        states : Tensor of shape (n_prompts, n_tokens, n_features)
        input_ids : int64 Tensor of shape (n_prompts, n_tokens)

        Returns
        -------
        Tensor of shape (n_prompts, n_features)

        Raises
        ------
        ShapeError
            If the two do not belong together, or a prompt has no end.
        """
        if states.shape[:2] != input_ids.shape:
            raise ShapeError(
                f"states are of shape {tuple(states.shape)} but the token ids of "
                f"{tuple(input_ids.shape)}; needed both for the same prompts and tokens"
            )
        input_ids = input_ids.to(states.device)
        if self._takes_mean:
            mask = self._mask(input_ids).unsqueeze(2)
            return (states * mask).sum(dim=1) / mask.sum(dim=1)
        rows = torch.arange(len(states), device=states.device)
        return states[rows, self._find_ends(input_ids)]

    @torch.no_grad()
    def embed(
        self, prompts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Embed prompts: pooled states, L2-normalised. Nothing is encoded twice.

        For a causal encoder that goes for what prompts begin with in common (see
        `probe.text.packing`), for any other for repeated prompts, which go through it in order of
        length, without padding that no state looks at.

        Parameters
        ----------
        prompts : sequence of str
            Checked and cut as by `tokenize`. All are tokenized first; a million or more are
            better put into an `EmbeddingStore`, which takes them piece by piece.
        batch_size : int
            How many prompts are encoded at a time where they are not packed.
        progress : callable, optional
            Called with (done, total) distinct prompts after each batch.

        Returns
        -------
        float32 ndarray of shape (n_prompts, n_features)
        """
        row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
        ids = self.tokenize(list(row_of))
        n_tokens = self._count_tokens(ids)
        if can_pack(self.model) and not self._takes_mean:
            pooled = end_states(self.model, ids, n_tokens, progress=progress)
            vectors = nn.functional.normalize(pooled, dim=1).cpu().numpy()
        else:
            vectors = np.empty((len(ids), self.n_features), dtype=np.float32)
            n_done = 0
            for rows in batches_by_length(n_tokens, batch_size):
                batch = ids[rows, : n_tokens[rows].max()]
                pooled = self.pool(self.forward_ids(batch), batch)
                vectors[rows] = nn.functional.normalize(pooled, dim=1).cpu()
                n_done += len(rows)
                if progress is not None:
                    progress(n_done, len(ids))
        return vectors[[row_of[prompt] for prompt in prompts]]

    def add_token(self, token: str, vector: npt.ArrayLike | torch.Tensor) -> int:
        """Add one token to the vocabulary and its row to the embedding.

        Prompts without the token keep their embeddings bit for bit.

        Parameters
        ----------
        token : str
            As it is written in prompts, e.g. ``"<bias>"``.
        vector : array of shape (n_features,)
            In the units of the token embedding.

        Returns
        -------
        int
            The token's id.

        Raises
        ------
        ValueError
            If the vocabulary has the token already.
        ShapeError
            If the vector does not fit the embedding.
        """
        old = self.model.get_input_embeddings().weight.detach()  # (n_vocabulary, n_features)
        row = torch.as_tensor(vector).detach().to(old)
        if row.shape != old.shape[1:]:
            raise ShapeError(
                f"vector is of shape {tuple(row.shape)}; needed {tuple(old.shape[1:])}, the width "
                f"of the token embedding of {self.id}"
            )
        if self.tokenizer.add_tokens([token]) != 1:
            raise ValueError(f"token {token!r} is in the vocabulary of {self.id}; choose another")
        token_id = int(self.tokenizer.convert_tokens_to_ids(token))
        table = old.new_zeros(max(len(old), token_id + 1), old.shape[1])
        table[: len(old)] = old
        table[token_id] = row
        self.model.set_input_embeddings(nn.Embedding.from_pretrained(table))
        self.model.config.vocab_size = len(table)
        return token_id

    def _count_too_long(self, prompts: Sequence[str]) -> int:
        # No token is shorter than a byte.
        doubtful = [prompt for prompt in prompts if len(prompt.encode()) + 2 > self.max_tokens]
        if not doubtful:
            return 0
        rows = self.tokenizer(doubtful, verbose=False).input_ids
        return sum(len(row) > self.max_tokens for row in rows)

    def _count_tokens(self, ids: torch.Tensor) -> npt.NDArray[np.intp]:
        """Count the tokens of each prompt that its pooled state looks at: up to its end."""
        n_tokens = self._mask(ids).sum(dim=1) if self._takes_mean else self._find_ends(ids) + 1
        return n_tokens.numpy()

    def _find_ends(self, ids: torch.Tensor) -> torch.Tensor:
        is_end = ids == self.tokenizer.eos_token_id
        if not bool(is_end.any(dim=1).all()):
            raise ShapeError("a prompt has no end-of-text token; take the ids from `tokenize`")
        ends: torch.Tensor = is_end.int().argmax(dim=1)
        return ends

    def _mask(self, ids: torch.Tensor) -> torch.Tensor:
        mask: torch.Tensor = (ids != self.tokenizer.pad_token_id).long()
        return mask
