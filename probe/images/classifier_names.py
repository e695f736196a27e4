"""Classifiers that a name or a file stands for, rather than a folder or a hub id."""

from pathlib import Path

from probe.images.onnx_classifier import OnnxClassifier, is_onnx, onnx_revision
from probe.images.skin_tone import REVISION, SCALES, SkinTone


def is_named(name: str | Path) -> bool:
    """Whether a classifier is an ONNX file, or one of this package that needs no weights."""
    return is_onnx(name) or str(name) in SCALES


def open_named(name: str | Path) -> OnnxClassifier | SkinTone:
    """Open a classifier of which `is_named` is true."""
    return OnnxClassifier(name) if is_onnx(name) else SkinTone(str(name))


def named_revision(name: str | Path) -> str:
    """Say what decides the answers of a classifier of which `is_named` is true."""
    return onnx_revision(name) if is_onnx(name) else f"{name} {REVISION}"
