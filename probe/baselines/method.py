"""What a method is made from, and what comes out: the contract of every file in this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from probe.images.intervention import Intervention
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet


@dataclass(frozen=True, eq=False)
class Trial:
    """What fresh pictures of training subjects show, under one intervention."""

    subjects: tuple[str, ...]
    share_female: npt.NDArray[np.float64]
    """Share of each subject's pictures in which the female value is seen, shape (n_subjects,)."""
    recognised: float
    """Share of all pictures in which the subject that was asked for is seen."""

    @property
    def mad(self) -> float:
        """Mean distance of the shares from one half; 0 is fair."""
        return float(np.abs(self.share_female - 0.5).mean())


@dataclass(frozen=True, eq=False)
class Material:
    """All that a method may learn from. Held-out occupations are known by their names alone."""

    encoder: TextEncoder
    pipeline: Any
    """The StableDiffusionPipeline; whoever changes its weights gives them back."""
    lexicon: Lexicon
    """Every word, as a user of the method would know it."""
    prompts: PromptSet
    """Prompts of training occupations, and of objects."""
    examples: Callable[[], tuple[npt.NDArray[np.float32], Sequence[str]]]
    """At most 1,500 pictures, (n, 3, height, width) from -1 to 1, balanced by gender within each
    training occupation, and the neutral prompt of each."""
    try_out: Callable[[Intervention], Trial]
    """Make pictures of the training occupations' neutral prompts, by noise that no test sees."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Method:
    """A method that is ready to correct pictures."""

    intervention: Intervention
    n_trainable: int = 0
    """Weights that were learnt, whether by steps or in closed form."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Settings that were chosen on training subjects."""


Builder = Callable[[Material], Method]
"""Learns what a method needs; the same material gives the same method."""
