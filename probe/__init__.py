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
    from probe.latent.cones import direction_cone, pairwise_cosines, stability
    from probe.latent.density import group_density
    from probe.latent.directions import BiasDirection, PairDirection
    from probe.latent.erasers import CalibratedEraser
    from probe.latent.erasure import CalibratedProjection, MeanGapEraser
    from probe.latent.estimators import (
        DiscriminantDirection,
        LogisticDirection,
        PrincipalDirection,
        SpanDirection,
    )
    from probe.latent.evaluation import erasure_table
    from probe.latent.faithfulness import map_faithfulness
    from probe.latent.harddebias import HardDebiasEraser
    from probe.latent.heads import attribute_heads
    from probe.latent.leace import LeaceEraser
    from probe.latent.lipstick import clusters_left
    from probe.latent.maps import neighbor_map
    from probe.latent.multiplicity import benjamini_hochberg, holm
    from probe.latent.nullspace import NullspaceEraser
    from probe.latent.patching import patch_states
    from probe.latent.prediction import SharePredictor
    from probe.latent.subspace import GroupSubspace
    from probe.latent.tracing import trace, where_it_appears
    from probe.moesd.model import MoESD
    from probe.text.concepts import Concept
    from probe.text.conditioning import Conditioning
    from probe.text.embeddings import EmbeddingStore
    from probe.text.encoder import TextEncoder
    from probe.text.lexicon import Lexicon
    from probe.text.prompt_files import read_prompts
    from probe.text.prompts import PromptSet
    from probe.text.recording import record
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
    "probe.latent.cones": ("direction_cone", "pairwise_cosines", "stability"),
    "probe.latent.density": ("group_density",),
    "probe.latent.directions": ("BiasDirection", "PairDirection"),
    "probe.latent.erasers": ("CalibratedEraser",),
    "probe.latent.erasure": ("CalibratedProjection", "MeanGapEraser"),
    "probe.latent.estimators": (
        "DiscriminantDirection",
        "LogisticDirection",
        "PrincipalDirection",
        "SpanDirection",
    ),
    "probe.latent.evaluation": ("erasure_table",),
    "probe.latent.faithfulness": ("map_faithfulness",),
    "probe.latent.harddebias": ("HardDebiasEraser",),
    "probe.latent.heads": ("attribute_heads",),
    "probe.latent.leace": ("LeaceEraser",),
    "probe.latent.lipstick": ("clusters_left",),
    "probe.latent.maps": ("neighbor_map",),
    "probe.latent.multiplicity": ("benjamini_hochberg", "holm"),
    "probe.latent.nullspace": ("NullspaceEraser",),
    "probe.latent.patching": ("patch_states",),
    "probe.latent.prediction": ("SharePredictor",),
    "probe.latent.subspace": ("GroupSubspace",),
    "probe.latent.tracing": ("trace", "where_it_appears"),
    "probe.moesd.model": ("MoESD",),
    "probe.text.concepts": ("Concept",),
    "probe.text.conditioning": ("Conditioning",),
    "probe.text.embeddings": ("EmbeddingStore",),
    "probe.text.encoder": ("TextEncoder",),
    "probe.text.lexicon": ("Lexicon",),
    "probe.text.prompt_files": ("read_prompts",),
    "probe.text.prompts": ("PromptSet",),
    "probe.text.recording": ("record",),
    "probe.text.vector_files": ("read_vectors", "write_vectors"),
    "probe.text.vectors": ("NamedVectors",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArtifactError",
    "AttributeClassifier",
    "BiasDirection",
    "BusyError",
    "CalibratedEraser",
    "CalibratedProjection",
    "ClipScorer",
    "Concept",
    "Conditioning",
    "DataError",
    "DegenerateDataError",
    "DiscriminantDirection",
    "EmbeddingStore",
    "Experiment",
    "GenerationPlan",
    "GroupSubspace",
    "HardDebiasEraser",
    "LeaceEraser",
    "Lexicon",
    "LogisticDirection",
    "MeanGapEraser",
    "MoESD",
    "ModelError",
    "NamedVectors",
    "NullspaceEraser",
    "PairDirection",
    "PrincipalDirection",
    "ProbeError",
    "PromptSet",
    "ShapeError",
    "SharePredictor",
    "SpanDirection",
    "StageError",
    "TextEncoder",
    "__version__",
    "attribute_heads",
    "benjamini_hochberg",
    "clusters_left",
    "direction_cone",
    "ect",
    "erasure_table",
    "fairness_figures",
    "group_density",
    "holm",
    "mac",
    "map_faithfulness",
    "neighbor_map",
    "pairwise_cosines",
    "patch_states",
    "read_prompts",
    "read_vectors",
    "record",
    "ripa",
    "rnd",
    "rnsb",
    "seat",
    "share_correlation",
    "share_regression",
    "stability",
    "trace",
    "weat",
    "where_it_appears",
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
