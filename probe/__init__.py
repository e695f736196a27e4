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
    from probe.latent.association import share_correlation
    from probe.latent.directions import BiasDirection, PairDirection
    from probe.latent.erasure import CalibratedProjection, MeanGapEraser
    from probe.moesd.model import MoESD
    from probe.text.concepts import Concept
    from probe.text.embeddings import EmbeddingStore
    from probe.text.encoder import TextEncoder
    from probe.text.lexicon import Lexicon
    from probe.text.prompt_files import read_prompts
    from probe.text.prompts import PromptSet
    from probe.text.vector_files import read_vectors, write_vectors
    from probe.text.vectors import NamedVectors

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
    "probe.latent.association": ("share_correlation",),
    "probe.latent.directions": ("BiasDirection", "PairDirection"),
    "probe.latent.erasure": ("CalibratedProjection", "MeanGapEraser"),
    "probe.moesd.model": ("MoESD",),
    "probe.text.concepts": ("Concept",),
    "probe.text.embeddings": ("EmbeddingStore",),
    "probe.text.encoder": ("TextEncoder",),
    "probe.text.lexicon": ("Lexicon",),
    "probe.text.prompt_files": ("read_prompts",),
    "probe.text.prompts": ("PromptSet",),
    "probe.text.vector_files": ("read_vectors", "write_vectors"),
    "probe.text.vectors": ("NamedVectors",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArtifactError",
    "AttributeClassifier",
    "BiasDirection",
    "BusyError",
    "CalibratedProjection",
    "ClipScorer",
    "Concept",
    "DataError",
    "DegenerateDataError",
    "EmbeddingStore",
    "Experiment",
    "GenerationPlan",
    "Lexicon",
    "MeanGapEraser",
    "MoESD",
    "ModelError",
    "NamedVectors",
    "PairDirection",
    "ProbeError",
    "PromptSet",
    "ShapeError",
    "StageError",
    "TextEncoder",
    "__version__",
    "fairness_figures",
    "read_prompts",
    "read_vectors",
    "share_correlation",
    "write_vectors",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
