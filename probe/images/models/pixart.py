"""PixArt-alpha and PixArt-Sigma: a T5 with an attention mask."""

from collections.abc import Mapping
from typing import Any

from probe.images.models.conditions import Conditions, Place
from probe.images.models.model import FAMILIES, ImageModel


@FAMILIES.register("PixArtAlphaPipeline")
@FAMILIES.register("PixArtSigmaPipeline")
class PixArt(ImageModel):
    """Square images of the transformer's size. Prompts are not cleaned of HTML."""

    parts = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")
    returned = ("prompt_embeds", "prompt_attention_mask", "", "")
    defaults = (4.5, 20)
    n_tokens = 300

    @property
    def calling(self) -> Mapping[str, Any]:
        """The size, and no choice of another one."""
        _, height, width = self.latent_shape
        scale = self.pipeline.vae_scale_factor
        return {
            "height": height * scale,
            "width": width * scale,
            "use_resolution_binning": False,
        }

    def _denoiser_inputs(self, conditions: Conditions) -> dict[str, Any]:
        states = conditions.tensors["prompt_embeds"]
        sizes: dict[str, Any] = {"resolution": None, "aspect_ratio": None}
        if self.network.use_additional_conditions:
            height, width = (float(self.calling[side]) for side in ("height", "width"))
            sizes["resolution"] = states.new_tensor([height, width]).repeat(len(states), 1)
            sizes["aspect_ratio"] = states.new_tensor([height / width]).repeat(len(states), 1)
        return {**super()._denoiser_inputs(conditions), "added_cond_kwargs": sizes}

    def place(self, encoder: str) -> Place:
        """All states, and their mask."""
        return Place(mask="prompt_attention_mask")
