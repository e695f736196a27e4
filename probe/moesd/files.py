"""The folder of a correction: settings, and the weights of token, gate and experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from probe.arrays import Double
from probe.errors import ArtifactError
from probe.io.artifacts import Provenance, read_json, read_tensors, write_json, write_tensors
from probe.moesd.correction import Correction
from probe.moesd.experts import Experts
from probe.moesd.gate import CLASSES, FLAGS, Gate, KindClassifier
from probe.moesd.token import TOKEN, SpecialToken
from probe.moesd.unet_experts import UNetExperts
from probe.text.encoder import TextEncoder

_UNET_FILE = "unet_experts.safetensors"
_UNET_SETTINGS = ("sites", "width", "n_experts", "style", "placement", "levels")
_GATE_SETTINGS = (
    "midpoint", "neutral_below", "explicit_above", "open_above", "reads", "kind", "is_soft",
    "has_list",
)  # fmt: skip


def write_parts(folder: Path, provenance: Provenance, correction: Correction) -> None:
    """Write the files of a correction, ``config.json`` last."""
    token, experts, unet = correction.token, correction.experts, correction.unet_experts
    tensors: dict[str, tuple[str, Mapping[str, npt.NDArray[Any]]]] = {
        "token": ("token", {TOKEN: token.vector.detach().cpu().numpy()[None]}),
        "experts": ("experts", _arrays(experts)),
        "gate": ("gate-weights", gate_arrays(correction.gate)),
    }
    if unet is not None:
        tensors["unet_experts"] = ("unet-experts", _arrays(unet))
    for name, (kind, arrays) in tensors.items():
        write_tensors(folder / f"{name}.safetensors", arrays, replace(provenance, kind=kind))
    if unet is None:
        (folder / _UNET_FILE).unlink(missing_ok=True)  # of an earlier correction
    config = {
        **{name: getattr(experts, name) for name in ("n_features", "width", "style")},
        "subjects": list(token.subjects),
        "token_place": token.stands,
        "classes": list(CLASSES),
        **gate_settings(correction.gate),
        "unet": None if unet is None else {name: getattr(unet, name) for name in _UNET_SETTINGS},
    }
    write_json(folder / "config.json", config, replace(provenance, kind="moesd"))


def read_parts(folder: Path, encoder: TextEncoder | None) -> dict[str, Any]:
    """Read the fields of a `Correction`.

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
    experts = Experts(config["n_features"], width=config["width"], style=config["style"])
    _fill(experts, folder / "experts.safetensors", kind="experts")
    unet_experts = None
    if (settings := config["unet"]) is not None:
        unet_experts = UNetExperts(**{**settings, "levels": tuple(settings["levels"])})
        _fill(unet_experts, folder / _UNET_FILE, kind="unet-experts")
    for module in filter(None, (experts, unet_experts)):
        module.to(encoder.device).eval().requires_grad_(False)
    return {
        "encoder": encoder,
        "token": SpecialToken(
            torch.from_numpy(token[TOKEN][0]),
            tuple(config["subjects"]),
            config["token_place"],
        ),
        "gate": make_gate(arrays, config),
        "experts": experts,
        "unet_experts": unet_experts,
    }


def gate_arrays(gate: Gate) -> dict[str, Double]:
    """Return a gate's weights, as stored in ``gate.safetensors``."""
    found = gate.classifier
    return {"axis": gate.axis, "weights": found.weights, "intercepts": found.intercepts}


def gate_settings(gate: Gate) -> dict[str, Any]:
    """Return a gate's settings, as stored in ``config.json``."""
    return {
        **{name: getattr(gate, name) for name in _GATE_SETTINGS},
        "flags": list(FLAGS),
        "temperature": gate.classifier.temperature,
    }


def make_gate(arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> Gate:
    """Rebuild a gate from `gate_arrays` and `gate_settings`; other settings are ignored.

    Raises
    ------
    ArtifactError
        If a setting is missing, or the gate was trained with other word flags.
    """
    if tuple(settings.get("flags", ())) != FLAGS:
        raise ArtifactError(
            "the gate was trained with other word flags than this version has; train it again"
        )
    try:
        classifier = KindClassifier(
            arrays["weights"], arrays["intercepts"], settings["temperature"]
        )
        return Gate(
            axis=arrays["axis"],
            classifier=classifier,
            **{name: settings[name] for name in _GATE_SETTINGS},
        )
    except KeyError as error:
        raise ArtifactError(
            f"the gate's files have no {error}; they are of another version: train it again"
        ) from error


def _arrays(experts: torch.nn.Module) -> dict[str, npt.NDArray[Any]]:
    return {name: w.detach().cpu().numpy() for name, w in experts.state_dict().items()}


def _fill(experts: Experts | UNetExperts, path: Path, *, kind: str) -> None:
    """Load weights into experts of the configuration beside the file.

    Raises
    ------
    ArtifactError
        If the weights are missing, of another style, or of other shapes.
    """
    weights, _ = read_tensors(path, kind=kind)
    found = "adapter" if any(name.endswith("norm.weight") for name in weights) else "lora"
    config = path.parent / "config.json"
    if found != experts.style:
        raise ArtifactError(
            f"{path} holds experts of style {found!r} but {config} says {experts.style!r}; the two "
            "are not from one training: train it again"
        )
    try:
        experts.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    except RuntimeError as error:
        raise ArtifactError(
            f"{path} does not fit {config} (width {experts.width}); train it again"
        ) from error
