"""Where the files of a run folder are, relative to it."""

from typing import Any

EMBEDDINGS = "embeddings"
EMBEDDED = ("embeddings/prompts.parquet", "embeddings/states.safetensors")

DIRECTION = "latent/direction.safetensors"
FIT = "latent/fit.json"
SUBJECTS = "latent/subjects.parquet"
MAP = "latent/map.parquet"
USER_PLACES = "latent/user_prompts.parquet"
"""The user's prompts, each with its ``bias_score`` and its ``projection``, as on the map."""

MOESD = "moesd"
GATE = "moesd/gate.parquet"

SIDES = ("base", "moesd")
"""Folders of images: of the base and of the corrected model."""

LABELS = "evaluation/labels.parquet"
FAIRNESS = "evaluation/fairness.parquet"
SHARES = "evaluation/shares.parquet"
QUALITY = "evaluation/quality.json"
EVALUATION = (LABELS, FAIRNESS, SHARES, QUALITY)

COMPARISON = "comparison/methods.parquet"

_CORRECTION = tuple(
    f"{MOESD}/{name}"
    for name in ("token.safetensors", "experts.safetensors", "gate.safetensors", "config.json")
)
_UNET_EXPERTS = f"{MOESD}/unet_experts.safetensors"
_OTHER_ENCODERS = f"{MOESD}/other_encoders.safetensors"


def correction_files(config: Any) -> tuple[str, ...]:
    """Return the files of a correction that is trained with a configuration."""
    train = config.train
    more = [_UNET_EXPERTS] * train.has_unet + [_OTHER_ENCODERS] * (train.encoders == "all")
    return (*_CORRECTION, *more)
