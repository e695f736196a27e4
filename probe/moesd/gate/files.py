"""A gate as arrays and settings, as the folder of a correction keeps it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.errors import ArtifactError
from probe.moesd.gate.classifier import KindClassifier
from probe.moesd.gate.gate import Gate
from probe.moesd.gate.reading import FLAGS

_SCALARS = (
    "midpoint", "neutral_below", "explicit_above", "open_above", "reads", "kind", "is_soft",
)  # fmt: skip


def gate_arrays(gate: Gate) -> dict[str, npt.NDArray[np.float64]]:
    """Give what goes into a file of tensors."""
    found = gate.classifier
    return {"axis": gate.axis, "weights": found.weights, "intercepts": found.intercepts}


def gate_settings(gate: Gate) -> dict[str, Any]:
    """Give what goes into a file of settings."""
    scalars = {name: getattr(gate, name) for name in _SCALARS}
    return {
        **scalars,
        "has_list": gate.has_list,
        "flags": list(FLAGS),
        "temperature": gate.classifier.temperature,
    }


def make_gate(arrays: Mapping[str, Any], settings: Mapping[str, Any]) -> Gate:
    """Make the gate again; of the settings, those of others are left alone.

    Raises
    ------
    ArtifactError
        If something is missing, or the gate knew other words than this version.
    """
    has_list = settings.get("has_list", False)  # the first gates had none
    if has_list and tuple(settings.get("flags", ())) != FLAGS:
        raise ArtifactError(
            "the gate was told of other words than this version looks up; train it again"
        )
    try:
        classifier = KindClassifier(
            arrays["weights"], arrays["intercepts"], settings["temperature"]
        )
        return Gate(
            axis=arrays["axis"],
            classifier=classifier,
            has_list=has_list,
            **{name: settings[name] for name in _SCALARS},
        )
    except KeyError as error:
        raise ArtifactError(
            f"the files of the gate lack {error}, as those of another version do; train it again"
        ) from error
