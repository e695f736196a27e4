"""The stored state of an interrupted training."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.errors import ArtifactError
from probe.io.artifacts import Provenance, read_tensors, write_tensors

KIND = "training-state"
_SCALARS = "scalars"


@dataclass(frozen=True)
class State:
    """Everything that the next step depends on."""

    scalars: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    """On the CPU; names are of the form ``"group/name"``."""

    def group(self, name: str) -> dict[str, torch.Tensor]:
        """Return the tensors of one group, by the rest of their names."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }


@dataclass
class Checkpoint:
    """The safetensors file that a training writes regularly, and resumes from."""

    path: Path
    provenance: Provenance
    """``made_from`` identifies the inputs; a state of other inputs is ignored."""
    settings: Mapping[str, Any]
    """Of the training."""
    share: float = 0.02
    """Largest share of the time that is spent on writing."""
    _due: float = field(default=float("-inf"), repr=False)

    def read(self) -> State | None:
        """Read the state of an interrupted training; None if there is none of these inputs.

        Raises
        ------
        ArtifactError
            If it has other settings; the message names them.
        """
        if not self.path.exists():
            return None
        arrays, found = read_tensors(self.path, kind=KIND)
        scalars = json.loads(arrays.pop(_SCALARS).tobytes())
        settings = scalars.pop("settings")
        now = json.loads(json.dumps(dict(self.settings)))
        changed = [name for name in {**settings, **now} if settings.get(name) != now.get(name)]
        if changed:
            changes = ", ".join(
                f"{name} was {settings.get(name)!r} and is {now.get(name)!r}" for name in changed
            )
            raise ArtifactError(
                f"{self.path} holds an interrupted training with other settings: {changes}; set "
                "them back to resume, or remove the file to start again"
            )
        if found.made_from != self.provenance.made_from:
            return None
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        return State(scalars, tensors)

    def is_due(self) -> bool:
        """Whether enough time has passed since the last writing; True at first."""
        return time.monotonic() >= self._due

    def write(self, state: State) -> None:
        """Replace the stored state."""
        begun = time.monotonic()
        text = json.dumps({**state.scalars, "settings": dict(self.settings)})
        arrays = {name: tensor.numpy() for name, tensor in state.tensors.items()}
        arrays[_SCALARS] = np.frombuffer(text.encode(), dtype=np.uint8)
        write_tensors(self.path, arrays, self.provenance)
        ended = time.monotonic()
        self._due = ended + (ended - begun) / self.share

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)
