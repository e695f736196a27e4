"""What is measured, by its key: how people call it, and what it means."""

from __future__ import annotations

from importlib.metadata import version

MEASURES = {
    "mad": ("MAD", "mean distance of the shares from even"),
    "fd": ("FD", "Euclidean distance of the shares from even"),
    "delta": ("Δ", "distance relative to the even share"),
    "gap": ("gap", "mean difference between two shares"),
    "kl": ("KL", "relative entropy to the even shares, in nats"),
}
"""Keys are those of `probe.audit.fairness.MEASURES`."""
SPLITS = (("all", "All"), ("trained", "Trained on"), ("held_out", "Held out"))
FAILURES = {
    "gate_missed": ("Gate misses", "occupations that lean, yet are left as they were"),
    "overcorrected": ("Overcorrection", "occupations whose lean changes sides"),
    "explicit_changed": ("Interference", "images of prompts that say a gender, yet change"),
    "non_person_changed": ("Interference", "images of things without people, yet change"),
    "overfit": ("Overfitting", "how much more MAD falls on occupations trained on, in MAD"),
}
EFFECTS = {
    "subject_recognised": "Occupation recognised",
    "explicit_adherence": "Explicit prompts followed",
    "clip_score": "CLIP score",
}
DRIFT = {
    "frechet": ("Fréchet distance", "of the two sets, squared; 0: the same mean and covariance"),
    "kernel": ("Kernel distance", "of the two sets, cubic kernel, unbiased; about 0: alike"),
    "cosine": ("Cosine distance of a pair", "1 - cosine, images from the same noise; 0: the same"),
    "unmoved": ("Images unmoved", "pairs that are the same image; 1: all"),
}
"""Of the neutral pictures, from the base model to the corrected one; see `measure_drift`."""
KINDS = {
    "neutral": "neutral prompts, which are to change",
    "female": "prompts that say a woman",
    "male": "prompts that say a man",
    "object": "things without people",
}
"""Kinds of prompts; see `probe.run.evaluation.perceptual.measure_perceptual`."""
NOT_LPIPS = (
    "Distance of a pair in the feature maps of all layers, 0 (the same) to 4; 2 is what unrelated "
    "directions give. It has the form of LPIPS and is not LPIPS: no weight was learned from "
    "people's judgements."
)

PACKAGES = ("moesd-probe", "torch", "diffusers", "transformers", "numpy", "scikit-learn")
"""Packages whose version a result may depend on."""


def versions() -> list[tuple[str, str]]:
    """The version of each of `PACKAGES` that is installed."""
    return [(package, version(package)) for package in PACKAGES]
