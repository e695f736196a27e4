"""The four classes of the gate, and how a prompt's is known: by its construction and its skew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.text.prompts import PromptSet

CLASSES = ("explicit", "male-skewed", "female-skewed", "neutral")
"""``explicit``: the prompt itself says the gender; ``neutral``: no person, or no skew. Both are
left alone. The skewed classes go to the expert of the other side."""

Labels = npt.NDArray[np.str_]


def classify_skew(skews: Double, *, neutral_below: float, explicit_above: float) -> Labels:
    """Name the class of each skew by two thresholds on its size."""
    size = np.abs(skews)
    skewed = np.where(skews > 0, CLASSES[1], CLASSES[2])
    return np.where(
        size < neutral_below, CLASSES[3], np.where(size > explicit_above, CLASSES[0], skewed)
    )


def true_classes(prompts: PromptSet, skews: Double, *, neutral_below: float) -> Labels:
    """Label prompts by their construction and their skew, never by hand.

    Gendered prompts are ``explicit``, objects ``neutral``; a neutral prompt about a person is
    ``neutral`` where its skew is below ``neutral_below`` and skewed elsewhere.
    """
    by_skew = classify_skew(skews, neutral_below=neutral_below, explicit_above=np.inf)
    group = prompts.table["group"].to_numpy(dtype=str)
    labels = np.where(np.isin(group, ("male", "female")), CLASSES[0], by_skew)
    return np.where(group == "object", CLASSES[3], labels)
