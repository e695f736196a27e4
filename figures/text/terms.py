"""Names and meanings of what is measured, by key."""

from importlib.metadata import version

from probe.text.lexicon import SPLIT_NAMES

MEASURES = {
    "mad": ("MAD", "mean distance of the shares from even"),
    "fd": ("FD", "Euclidean distance of the shares from even"),
    "kl": ("KL", "relative entropy to the even shares, in nats"),
}
"""Fairness measures by key, as in `probe.audit.measures.MEASURES`: name and meaning."""
SPLITS = (("all", "All"), *((of, name.capitalize()) for of, name in SPLIT_NAMES.items()))
"""Groups of subjects by key, as `evaluate` writes them, in the order of tables."""
FAILURES = {
    "gate_missed": ("Gate misses", "skewed occupations that are not corrected"),
    "overcorrected": ("Overcorrection", "occupations whose skew changes sign"),
    "moved_away": ("Moved away", "occupations whose shares move further from even"),
    "explicit_changed": ("Interference", "images of explicit prompts that change"),
    "non_person_changed": ("Interference", "images of prompts without people that change"),
    "overfit": ("Overfitting", "decrease of MAD on training less other occupations, points"),
}
EFFECTS = {
    "subject_recognised": "Occupation recognised",
    "explicit_adherence": "Explicit prompt adherence",
    "clip_score": "CLIP score",
}
DRIFT = {
    "frechet": ("Fréchet distance", "of the two sets, squared; 0: the same mean and covariance"),
    "kernel": ("Kernel distance", "of the two sets, cubic kernel, unbiased; about 0: alike"),
    "cosine": ("Cosine distance of a pair", "1 less cosine, of images from equal noise; 0: same"),
    "unmoved": ("Images unmoved", "pairs that are the same image; 1: all"),
}
"""Of the neutral images, from the base model to the corrected one; see `measure_drift`."""

BOUNDED = (
    *(*MEASURES, *EFFECTS, *FAILURES, *DRIFT),
    *("clip_score_like_for_like", "clip_score_of_captions", "composition", "other_attributes"),
)
"""Last parts of the names of all figures that the release gate can bound."""

PACKAGES = ("moesd-probe", "torch", "diffusers", "transformers", "numpy", "scikit-learn")
"""Packages whose version a result may depend on."""


def versions() -> list[tuple[str, str]]:
    """Installed versions of `PACKAGES`."""
    return [(package, version(package)) for package in PACKAGES]


def plural(value: str) -> str:
    """Plural of a value of an attribute, where it has one."""
    return {"woman": "women", "man": "men"}.get(value, value)


def measures_of(n_values: int) -> dict[str, tuple[str, str]]:
    """The measures to show: of two values MAD alone, as the others are functions of it."""
    return {"mad": MEASURES["mad"]} if n_values == 2 else MEASURES
