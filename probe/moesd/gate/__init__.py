"""The Bias-Identification Gate: which prompts are corrected, and towards which value."""

from probe.moesd.gate.fitting import fit_gate
from probe.moesd.gate.gate import (
    CLASSES,
    Decision,
    Gate,
    KindClassifier,
    classify_bias_score,
    true_classes,
)
from probe.moesd.gate.reading import FLAGS, Reading, count_features

__all__ = [
    "CLASSES",
    "FLAGS",
    "Decision",
    "Gate",
    "KindClassifier",
    "Reading",
    "classify_bias_score",
    "count_features",
    "fit_gate",
    "true_classes",
]
