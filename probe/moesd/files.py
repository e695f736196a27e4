"""The folder of a correction: its settings, and the weights of token, gate and experts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.errors import ArtifactError
from probe.io.artifacts import Provenance, read_json, read_tensors, write_json, write_tensors
from probe.moesd.experts import Experts, fill
from probe.moesd.gate import CLASSES, Gate
from probe.moesd.gate.files import gate_arrays, gate_settings, make_gate
from probe.moesd.token import TOKEN, SpecialToken
from probe.moesd.unet.experts import UNetExperts
from probe.moesd.unet.files import read_experts, write_experts
from probe.text.encoder import TextEncoder


def write_parts(
    folder: Path,
    provenance: Provenance,
    *,
    token: SpecialToken,
    gate: Gate,
    experts: Experts,
    unet_experts: UNetExperts | None,
) -> None:
    """Write what `probe.moesd.model.MoESD.save` says, the settings last."""

    def of(kind: str) -> Provenance:
        return replace(provenance, kind=kind)

    vector = {TOKEN: token.vector.detach().cpu().numpy()[None]}
    weights = {name: w.detach().cpu().numpy() for name, w in experts.state_dict().items()}
    arrays = {name: np.asarray(array) for name, array in gate_arrays(gate).items()}
    write_tensors(folder / "token.safetensors", vector, of("token"))
    write_tensors(folder / "experts.safetensors", weights, of("experts"))
    write_tensors(folder / "gate.safetensors", arrays, of("gate-weights"))
    config: dict[str, Any] = {
        "n_features": experts.n_features,
        "width": experts.width,
        "style": experts.style,
        "subjects": list(token.subjects),
        "token_place": token.stands,
        "classes": list(CLASSES),
        **gate_settings(gate),
    }
    config["unet"] = write_experts(folder, unet_experts, provenance)
    write_json(folder / "config.json", config, of("moesd"))


def read_parts(folder: Path, encoder: TextEncoder | None) -> dict[str, Any]:
    """Read the parts of a `probe.moesd.model.MoESD`, by their names there.

    Raises
    ------
    ArtifactError
        If a file is missing or damaged, or the encoder is another one.
    """
    config, provenance = read_json(folder / "config.json", kind="moesd")
    encoder = TextEncoder.load(provenance.model) if encoder is None else encoder
    if encoder.revision != provenance.revision:
        raise ArtifactError(
            f"{folder} was trained on {provenance.model!r} at {provenance.revision} but the "
            f"encoder is {encoder.id!r} at {encoder.revision}; train it again on this encoder"
        )
    token, _ = read_tensors(folder / "token.safetensors", kind="token")
    arrays, _ = read_tensors(folder / "gate.safetensors", kind="gate-weights")
    weights, _ = read_tensors(folder / "experts.safetensors", kind="experts")
    experts = Experts(
        config["n_features"], width=config["width"], style=config.get("style", "adapter")
    )
    fill(experts, weights, folder / "experts.safetensors")
    return {
        "encoder": encoder,
        "token": SpecialToken(
            torch.from_numpy(token[TOKEN][0]),
            tuple(config["subjects"]),
            config.get("token_place", "subject"),
        ),
        "gate": make_gate(arrays, config),
        "experts": experts.to(encoder.device).eval().requires_grad_(False),
        "unet_experts": read_experts(folder, config.get("unet"), device=encoder.device),
    }
