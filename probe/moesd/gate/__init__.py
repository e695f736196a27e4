"""The Bias-Identification Gate: which prompts are corrected, and towards which value."""

from probe.moesd.gate.fitting import fit_gate
from probe.moesd.gate.gate import (
    CLASSES,
    CLASSES_OF_OTHERS,
    Decision,
    Gate,
    KindClassifier,
    classify_bias_score,
    lacking,
    true_classes,
)
from probe.moesd.gate.reading import FLAGS, Reading, count_features

__all__ = [
    "CLASSES",
    "CLASSES_OF_OTHERS",
    "FLAGS",
    "Decision",
    "Gate",
    "KindClassifier",
    "Reading",
    "classify_bias_score",
    "count_features",
    "fit_gate",
    "lacking",
    "true_classes",
]
