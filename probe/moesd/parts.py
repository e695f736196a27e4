"""The parts of a saved correction: made from what its files hold, and checked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt
import torch

from probe.errors import ArtifactError, ShapeError
from probe.io.artifacts import read_tensors
from probe.moesd.correction import Correction, EncoderExperts
from probe.moesd.experts import Experts
from probe.moesd.gate import FLAGS, Gate, KindClassifier, count_features
from probe.moesd.unet_experts import UNetExperts
from probe.text.encoder import TextEncoder

_AnyExperts = TypeVar("_AnyExperts", Experts, UNetExperts)
GATE_SETTINGS = (
    "midpoint", "neutral_below", "explicit_above", "open_above", "reads", "kind", "has_list",
    "is_english", "unlisted", "corrects_everyone", "gendered_above",
)  # fmt: skip


def make_gate(arrays: Mapping[str, Any], config: Mapping[str, Any]) -> Gate:
    """Make the gate of what its file and the configuration hold."""
    if tuple(config.get("flags", ())) != FLAGS:
        raise ArtifactError(
            "the gate was trained with other word flags than this version has; train it again"
        )
    classifier = KindClassifier(arrays["weights"], arrays["intercepts"], config["temperature"])
    settings = {name: config[name] for name in GATE_SETTINGS}
    settings["unlisted"] = tuple(settings["unlisted"])
    return Gate(axis=arrays["axis"], classifier=classifier, **settings)


def check_sizes(encoder: TextEncoder, vector: torch.Tensor, gate: Gate, experts: Experts) -> None:
    """Refuse a correction whose parts do not fit each other or the encoder by a `ShapeError`."""
    n, n_layers = encoder.n_features, int(encoder.model.config.num_hidden_layers)
    width = encoder.model.get_input_embeddings().weight.shape[1]
    n_read = count_features(gate.reads, has_list=gate.has_list, n_features=n, n_layers=n_layers)
    of_gate = gate.axis.shape, gate.classifier.weights.shape, gate.classifier.intercepts.shape
    found = (tuple(vector.shape), *of_gate, experts.n_features)
    if found != (needed := ((width,), (n,), (len(FLAGS), n_read), (len(FLAGS),), n)):
        raise ShapeError(f"token, gate and experts are of sizes {found}; needed {needed}")


def weights_of_others(correction: Correction) -> dict[str, torch.Tensor]:
    """Name the weights of the other encoders, e.g. ``text_encoder_2.token``."""
    return {
        f"{other.encoder.slot}.{name}": weight
        for other in correction.others
        for name, weight in [("token", other.token.vector), *other.experts.named_parameters()]
    }


def read_other(first: Correction, slot: str, arrays: Mapping[str, Any]) -> EncoderExperts:
    """Open another text encoder of the model, and its token and experts."""
    encoder = TextEncoder.load(first.encoder.id, encoder=slot, device=first.encoder.device)
    other, start = first.start_on(encoder), f"{slot}."
    own = {name.removeprefix(start): w for name, w in arrays.items() if name.startswith(start)}
    vector = torch.from_numpy(own.pop("token"))
    if vector.shape != other.token.vector.shape:
        raise ShapeError(f"the token of {slot} has {len(vector)} features")
    other.experts.load_state_dict({name: torch.from_numpy(w) for name, w in own.items()})
    other.experts.eval().requires_grad_(False)
    return replace(other, token=replace(other.token, vector=vector))


def arrays_of(weights: Mapping[str, torch.Tensor]) -> dict[str, npt.NDArray[Any]]:
    """Return weights as arrays."""
    return {name: weight.detach().cpu().numpy() for name, weight in weights.items()}


def read_experts(cls: type[_AnyExperts], shape: Mapping[str, Any], path: Path) -> _AnyExperts:
    """Read experts; whatever their shape says, only what the file holds is allocated."""
    weights, _ = read_tensors(path, kind=path.stem.replace("_", "-"))
    found = "adapter" if any(name.endswith("norm.weight") for name in weights) else "lora"
    config = path.parent / "config.json"
    if found != shape["style"]:
        raise ArtifactError(
            f"{path} holds experts of style {found!r} but {config} says {shape['style']!r}; the "
            "two are not from one training: train it again"
        )
    misfit = f"{path} does not fit {config} (width {shape['width']}); train it again"
    if len(shape.get("names", shape.get("sites", ()))) > len(weights):
        raise ArtifactError(misfit)
    with torch.device("meta"):
        experts = cls(**shape)
    try:
        held = {name: torch.from_numpy(w) for name, w in weights.items()}
        experts.load_state_dict(held, assign=True)
    except RuntimeError as error:
        raise ArtifactError(misfit) from error
    return experts
