"""Sweeps: a run again and again with other settings, and how they compare."""

from probe.experiment.sweeping.axes import Axis, Variant, parse_axis, variants_of
from probe.experiment.sweeping.front import on_front
from probe.experiment.sweeping.sweep import Sweep, SweepResult

__all__ = ["Axis", "Sweep", "SweepResult", "Variant", "on_front", "parse_axis", "variants_of"]
