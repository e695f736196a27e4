"""The four classes of the gate, and the true class of a constructed prompt."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from probe.arrays import Double
from probe.text.prompts import PromptSet

CLASSES = ("explicit", "male-skewed", "female-skewed", "neutral")
"""``explicit``: the prompt states the gender; ``neutral``: no person, or a bias score near 0. The
gate opens for the skewed classes only, each of which goes to the expert of the other direction."""

Labels: TypeAlias = npt.NDArray[np.str_]


def classify_bias_score(
    bias_scores: Double, *, neutral_below: float, explicit_above: float
) -> Labels:
    """Name the class of each bias score by two thresholds on its size."""
    size = np.abs(bias_scores)
    skewed = np.where(bias_scores > 0, CLASSES[1], CLASSES[2])
    return np.where(
        size < neutral_below, CLASSES[3], np.where(size > explicit_above, CLASSES[0], skewed)
    )


def true_classes(prompts: PromptSet, bias_scores: Double, *, neutral_below: float) -> Labels:
    """Label prompts by their construction and bias score.

    Gendered prompts are ``explicit``, objects ``neutral``. A neutral prompt about a person is
    ``neutral`` if its bias score is below ``neutral_below``, and skewed otherwise.
    """
    by_bias_score = classify_bias_score(
        bias_scores, neutral_below=neutral_below, explicit_above=np.inf
    )
    group = prompts.table["group"].to_numpy(dtype=str)
    labels = np.where(np.isin(group, ("male", "female")), CLASSES[0], by_bias_score)
    return np.where(group == "object", CLASSES[3], labels)
