"""Where experts sit in a U-Net: after its cross-attentions, found by its structure."""

from __future__ import annotations

from typing import Any

from torch import nn

from probe.errors import ModelError
from probe.io.settings import one_of
from probe.moesd.architecture import PLACEMENTS

_CROSS_ATTENTION = ".attn2"  # what diffusers calls it in every block that has one


def cross_attentions(unet: Any, *, placement: str = "all") -> dict[str, int]:
    """Find the cross-attentions of a U-Net; it may be on the meta device.

    Parameters
    ----------
    unet : UNet2DConditionModel
    placement : str
        ``"all"``, or only those of the ``"down"``, ``"mid"`` or ``"up"`` blocks.

    Returns
    -------
    dict
        Name of the module -> width of its output, in the order of the U-Net's modules. Stable
        Diffusion v1.5 has 16, whose widths sum to 12,480.

    Raises
    ------
    ModelError
        If there is none, as in transformers of the Stable Diffusion 3 kind, where text and picture
        share one attention.
    """
    one_of("placement", placement, PLACEMENTS)
    prefix = "" if placement == "all" else f"{placement}_block"
    found = {
        name: _width(module)
        for name, module in uncompiled(unet).named_modules()
        if name.endswith(_CROSS_ATTENTION) and name.startswith(prefix)
    }
    if not found:
        where = "" if placement == "all" else f" in its {placement} blocks"
        raise ModelError(
            f"the {type(unet).__name__} has no cross-attention{where}, after which experts sit; "
            "train with side 'text' or another placement"
        )
    return found


def default_width(sites: dict[str, int]) -> int:
    """Half of the widest site: 640 for Stable Diffusion v1.x and XL."""
    return max(1, max(sites.values()) // 2)


def uncompiled(unet: Any) -> Any:
    """Give the network that `torch.compile` may have wrapped."""
    return getattr(unet, "_orig_mod", unet)


def _width(attention: Any) -> int:
    output: nn.Linear = attention.to_out[0]
    return output.out_features
