"""A run folder: settings, stages, studies, comparisons and sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe.run.experiment import Experiment

__all__ = ["Experiment"]


def __getattr__(name: str) -> Any:
    # Settings alone, which the command line asks for, must not import pandas.
    if name == "Experiment":
        from probe.run.experiment import Experiment

        return Experiment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
