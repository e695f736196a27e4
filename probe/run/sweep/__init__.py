"""Sweeps: a run again and again with other settings, and how they compare."""

from probe.run.sweep.axes import Axis, Variant, parse_axis, variants_of
from probe.run.sweep.pareto import on_front
from probe.run.sweep.sweep import Sweep, SweepResult

__all__ = ["Axis", "Sweep", "SweepResult", "Variant", "on_front", "parse_axis", "variants_of"]
