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
        MemoryLimitError,
        ModelError,
        ProbeError,
        ShapeError,
        StageError,
    )
    from probe.experiment import Experiment
    from probe.images.attributes import AttributeClassifier
    from probe.images.audit.count_files import read_counts
    from probe.images.audit.figures import audit_figures
    from probe.images.audit.label_files import read_labels
    from probe.images.fairness import fairness_figures
    from probe.images.generation import GenerationPlan
    from probe.images.kid import kid
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
    from probe.latent.association.multiplicity import benjamini_hochberg, holm
    from probe.latent.directions import BiasDirection, PairDirection
    from probe.latent.directions.cones import direction_cone, pairwise_cosines, stability
    from probe.latent.directions.estimators import (
        DiscriminantDirection,
        LogisticDirection,
        PrincipalDirection,
        SpanDirection,
    )
    from probe.latent.directions.subspace import GroupSubspace
    from probe.latent.erasure import CalibratedProjection, MeanGapEraser
    from probe.latent.erasure.erasers import CalibratedEraser
    from probe.latent.erasure.evaluation import erasure_table
    from probe.latent.erasure.harddebias import HardDebiasEraser
    from probe.latent.erasure.leace import LeaceEraser
    from probe.latent.erasure.lipstick import clusters_left
    from probe.latent.erasure.nullspace import NullspaceEraser
    from probe.latent.maps import neighbor_map
    from probe.latent.maps.density import group_density
    from probe.latent.maps.faithfulness import map_faithfulness
    from probe.latent.prediction import SharePredictor
    from probe.latent.tracing import trace, where_it_appears
    from probe.latent.tracing.heads import attribute_heads
    from probe.latent.tracing.patching import patch_states
    from probe.moesd.model import MoESD
    from probe.text.captions.classification import classify, classify_captions
    from probe.text.captions.schemas import read_winobias, read_winogender
    from probe.text.captions.twins import neutralise, swap_gender
    from probe.text.concepts import Concept
    from probe.text.embeddings import EmbeddingStore
    from probe.text.encoder import TextEncoder
    from probe.text.encoding.conditioning import Conditioning
    from probe.text.exchange.prompt_files import read_prompts
    from probe.text.exchange.vector_files import read_vectors, write_vectors
    from probe.text.lexicon import Lexicon
    from probe.text.prompts import PromptSet
    from probe.text.recording import record
    from probe.text.vectors import NamedVectors

_HOMES = {
    "probe.errors": (
        "ArtifactError",
        "BusyError",
        "DataError",
        "DegenerateDataError",
        "MemoryLimitError",
        "ModelError",
        "ProbeError",
        "ShapeError",
        "StageError",
    ),
    "probe.experiment": ("Experiment",),
    "probe.images.attributes": ("AttributeClassifier",),
    "probe.images.audit.count_files": ("read_counts",),
    "probe.images.audit.figures": ("audit_figures",),
    "probe.images.audit.label_files": ("read_labels",),
    "probe.images.fairness": ("fairness_figures",),
    "probe.images.generation": ("GenerationPlan",),
    "probe.images.kid": ("kid",),
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
    "probe.latent.directions.cones": ("direction_cone", "pairwise_cosines", "stability"),
    "probe.latent.maps.density": ("group_density",),
    "probe.latent.directions": ("BiasDirection", "PairDirection"),
    "probe.latent.erasure.erasers": ("CalibratedEraser",),
    "probe.latent.erasure": ("CalibratedProjection", "MeanGapEraser"),
    "probe.latent.directions.estimators": (
        "DiscriminantDirection",
        "LogisticDirection",
        "PrincipalDirection",
        "SpanDirection",
    ),
    "probe.latent.erasure.evaluation": ("erasure_table",),
    "probe.latent.maps.faithfulness": ("map_faithfulness",),
    "probe.latent.erasure.harddebias": ("HardDebiasEraser",),
    "probe.latent.tracing.heads": ("attribute_heads",),
    "probe.latent.erasure.leace": ("LeaceEraser",),
    "probe.latent.erasure.lipstick": ("clusters_left",),
    "probe.latent.maps": ("neighbor_map",),
    "probe.latent.association.multiplicity": ("benjamini_hochberg", "holm"),
    "probe.latent.erasure.nullspace": ("NullspaceEraser",),
    "probe.latent.tracing.patching": ("patch_states",),
    "probe.latent.prediction": ("SharePredictor",),
    "probe.latent.directions.subspace": ("GroupSubspace",),
    "probe.latent.tracing": ("trace", "where_it_appears"),
    "probe.moesd.model": ("MoESD",),
    "probe.text.captions.classification": ("classify", "classify_captions"),
    "probe.text.captions.schemas": ("read_winobias", "read_winogender"),
    "probe.text.captions.twins": ("neutralise", "swap_gender"),
    "probe.text.concepts": ("Concept",),
    "probe.text.encoding.conditioning": ("Conditioning",),
    "probe.text.embeddings": ("EmbeddingStore",),
    "probe.text.encoder": ("TextEncoder",),
    "probe.text.lexicon": ("Lexicon",),
    "probe.text.exchange.prompt_files": ("read_prompts",),
    "probe.text.prompts": ("PromptSet",),
    "probe.text.recording": ("record",),
    "probe.text.exchange.vector_files": ("read_vectors", "write_vectors"),
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
    "MemoryLimitError",
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
    "audit_figures",
    "benjamini_hochberg",
    "classify",
    "classify_captions",
    "clusters_left",
    "direction_cone",
    "ect",
    "erasure_table",
    "fairness_figures",
    "group_density",
    "holm",
    "kid",
    "mac",
    "map_faithfulness",
    "neighbor_map",
    "neutralise",
    "pairwise_cosines",
    "patch_states",
    "read_counts",
    "read_labels",
    "read_prompts",
    "read_vectors",
    "read_winobias",
    "read_winogender",
    "record",
    "ripa",
    "rnd",
    "rnsb",
    "seat",
    "share_correlation",
    "share_regression",
    "stability",
    "swap_gender",
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
