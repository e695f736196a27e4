"""Find, correct and prove gender bias in text-to-image models.

Names are imported when they are first used, so that ``import probe`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from probe.errors import (
        ArtifactError,
        BusyError,
        DataError,
        DegenerateDataError,
        ModelError,
        ProbeError,
        ShapeError,
        StageError,
    )
    from probe.experiment import Experiment
    from probe.images.attributes import AttributeClassifier
    from probe.images.fairness import fairness_figures
    from probe.images.generation import GenerationPlan
    from probe.images.quality import ClipScorer
    from probe.latent.association import (
        ect,
        mac,
        ripa,
        rnd,
        rnsb,
        seat,
        share_correlation,
        share_regression,
        weat,
    )
    from probe.latent.directions import BiasDirection, PairDirection
    from probe.latent.erasure import CalibratedProjection, MeanGapEraser
    from probe.latent.multiplicity import benjamini_hochberg, holm
    from probe.latent.prediction import SharePredictor
    from probe.moesd.model import MoESD
    from probe.text.embeddings import EmbeddingStore
    from probe.text.encoder import TextEncoder
    from probe.text.lexicon import Lexicon
    from probe.text.prompts import PromptSet

_HOMES = {
    "probe.errors": (
        "ArtifactError",
        "BusyError",
        "DataError",
        "DegenerateDataError",
        "ModelError",
        "ProbeError",
        "ShapeError",
        "StageError",
    ),
    "probe.experiment": ("Experiment",),
    "probe.images.attributes": ("AttributeClassifier",),
    "probe.images.fairness": ("fairness_figures",),
    "probe.images.generation": ("GenerationPlan",),
    "probe.images.quality": ("ClipScorer",),
    "probe.latent.association": (
        "ect",
        "mac",
        "ripa",
        "rnd",
        "rnsb",
        "seat",
        "share_correlation",
        "share_regression",
        "weat",
    ),
    "probe.latent.directions": ("BiasDirection", "PairDirection"),
    "probe.latent.erasure": ("CalibratedProjection", "MeanGapEraser"),
    "probe.latent.multiplicity": ("benjamini_hochberg", "holm"),
    "probe.latent.prediction": ("SharePredictor",),
    "probe.moesd.model": ("MoESD",),
    "probe.text.embeddings": ("EmbeddingStore",),
    "probe.text.encoder": ("TextEncoder",),
    "probe.text.lexicon": ("Lexicon",),
    "probe.text.prompts": ("PromptSet",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArtifactError",
    "AttributeClassifier",
    "BiasDirection",
    "BusyError",
    "CalibratedProjection",
    "ClipScorer",
    "DataError",
    "DegenerateDataError",
    "EmbeddingStore",
    "Experiment",
    "GenerationPlan",
    "Lexicon",
    "MeanGapEraser",
    "MoESD",
    "ModelError",
    "PairDirection",
    "ProbeError",
    "PromptSet",
    "ShapeError",
    "SharePredictor",
    "StageError",
    "TextEncoder",
    "__version__",
    "benjamini_hochberg",
    "ect",
    "fairness_figures",
    "holm",
    "mac",
    "ripa",
    "rnd",
    "rnsb",
    "seat",
    "share_correlation",
    "share_regression",
    "weat",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
