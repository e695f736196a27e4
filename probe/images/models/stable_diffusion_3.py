"""Stable Diffusion 3 and 3.5: two CLIPs with their pooled vectors, and a T5 that may be absent."""

from collections.abc import Mapping
from typing import Any

from probe.images.models.conditions import Place
from probe.images.models.model import FAMILIES, ImageModel


@FAMILIES.register("StableDiffusion3Pipeline")
class StableDiffusion3(ImageModel):
    """The states of the CLIPs side by side, then the tokens of T5."""

    parts = (
        *("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"),
        *("transformer", "vae"),
    )
    returned = ("prompt_embeds", "", "pooled_prompt_embeds", "")
    defaults = (7.0, 28)
    n_tokens = 77 + 256

    @property
    def encoding(self) -> Mapping[str, Any]:
        """T5 reads as many tokens as the pipeline's call, or as its tokenizer allows if fewer."""
        tokenizer = self.pipeline.tokenizer_3
        limit = 256 if tokenizer is None else tokenizer.model_max_length
        return {
            "prompt_2": None,
            "prompt_3": None,
            "do_classifier_free_guidance": False,
            "max_sequence_length": min(256, limit),
        }

    def place(self, encoder: str) -> Place:
        """Say which tokens and features are the encoder's."""
        n_tokens = self.pipeline.tokenizer_max_length
        first, second = (
            getattr(self.pipeline, name).config for name in ("text_encoder", "text_encoder_2")
        )
        if encoder == "text_encoder_3":
            return Place(tokens=slice(n_tokens, None))
        if encoder == "text_encoder_2":
            features = slice(first.hidden_size, first.hidden_size + second.hidden_size)
            pooled = slice(first.projection_dim, None)
        else:
            features, pooled = slice(first.hidden_size), slice(first.projection_dim)
        return Place(tokens=slice(n_tokens), features=features, pooled=pooled)
