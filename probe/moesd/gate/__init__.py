"""The Bias-Identification Gate: which prompts are to be corrected, and towards whom."""

from __future__ import annotations

from probe.moesd.gate.classes import CLASSES, classify_skew, true_classes
from probe.moesd.gate.fitting import fit_gate
from probe.moesd.gate.gate import Gate

__all__ = ["CLASSES", "Gate", "classify_skew", "fit_gate", "true_classes"]
