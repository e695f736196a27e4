"""Keep the U-Net's experts on disk, beside the rest of a correction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from probe.io.artifacts import Provenance, read_tensors, write_tensors
from probe.moesd.experts import fill
from probe.moesd.unet.experts import UNetExperts

FILE = "unet_experts.safetensors"
_KIND = "unet-experts"


def write_experts(
    folder: Path, experts: UNetExperts | None, provenance: Provenance
) -> dict[str, Any] | None:
    """Write the weights, or remove those of an earlier correction.

    Returns
    -------
    dict or None
        What `read_experts` needs besides the weights, for the correction's ``config.json``.
    """
    path = folder / FILE
    if experts is None:
        path.unlink(missing_ok=True)
        return None
    weights = {name: w.detach().cpu().numpy() for name, w in experts.state_dict().items()}
    write_tensors(path, weights, replace(provenance, kind=_KIND))
    return {
        "sites": experts.sites,
        "width": experts.width,
        "n_experts": experts.n_experts,
        "style": experts.style,
        "placement": experts.placement,
        "levels": list(experts.levels),
    }


def read_experts(
    folder: Path, config: dict[str, Any] | None, *, device: str | torch.device = "cpu"
) -> UNetExperts | None:
    """Read what `write_experts` wrote; None if the correction has no experts in the U-Net.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged, or does not fit the configuration.
    """
    if config is None:
        return None
    weights, _ = read_tensors(folder / FILE, kind=_KIND)
    experts = UNetExperts(**{**config, "levels": tuple(config["levels"])})
    fill(experts, weights, folder / FILE)
    return experts.to(device).eval().requires_grad_(False)
