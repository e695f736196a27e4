"""The Bias-Identification Gate: which prompts are corrected, and towards which value."""

from __future__ import annotations

from probe.moesd.gate.classes import CLASSES, classify_bias_score, true_classes
from probe.moesd.gate.classifier import KindClassifier
from probe.moesd.gate.fitting import fit_gate
from probe.moesd.gate.gate import Decision, Gate
from probe.moesd.gate.reading import FLAGS, Reading, read_prompts

__all__ = [
    "CLASSES",
    "FLAGS",
    "Decision",
    "Gate",
    "KindClassifier",
    "Reading",
    "classify_bias_score",
    "fit_gate",
    "read_prompts",
    "true_classes",
]
