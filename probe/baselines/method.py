"""The contract of a baseline: what it may learn from, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from probe.arrays import Double, Float32
from probe.images.intervention import Intervention, Source
from probe.io.plugins import Registry
from probe.text.attributes import GENDER, Attribute
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

Words = Literal["none", "training", "images"]


@dataclass(frozen=True, eq=False)
class Trial:
    """Figures of new images of some subjects under one intervention."""

    subjects: tuple[str, ...]
    shares: Double
    """Share of each subject's images with each value, or cell of several attributes, in their
    order: (n_subjects, n_values)."""
    recognised: float
    """Share of all images whose subject is recognised."""

    @property
    def mad(self) -> float:
        """Mean absolute deviation of the shares from equal ones; 0 is fair."""
        return float(np.abs(self.shares - 1 / self.shares.shape[1]).mean())


@dataclass(frozen=True, eq=False)
class Material:
    """All that a method may learn from; test occupations are known by name only."""

    encoder: TextEncoder
    pipeline: Any
    """The pipeline of the image model; a method that changes its weights must restore them."""
    lexicon: Lexicon
    """All words, as a user of the method knows them."""
    prompts: PromptSet
    """Prompts for training, of occupations and of objects."""
    examples: Callable[[], tuple[Iterable[Float32], Sequence[str]]]
    """Return at most 1,500 images in batches, (n, 3, height, width) from -1 to 1, balanced by
    value, or cell, within each training occupation, and the neutral prompt of each."""
    try_out: Callable[[Intervention, Sequence[str]], Trial]
    """Generate images of the neutral prompts of some occupations, from noise of its own. Test
    occupations are refused."""
    validation: tuple[str, ...]
    """Occupations on which settings are chosen; the training occupations if there are no others."""
    seed: int = 0
    others: Sequence[TextEncoder] = ()
    """The other text encoders of the model."""
    attributes: Sequence[Attribute] = (GENDER,)
    """What is to be corrected."""

    @property
    def on_each_encoder(self) -> list[Material]:
        """The same, one text encoder at a time."""
        return [replace(self, encoder=of, others=()) for of in (self.encoder, *self.others)]


@dataclass(frozen=True, eq=False)
class Method:
    """A fitted method."""

    intervention: Intervention
    _: KW_ONLY
    words: Words
    """Where it uses prompts with a gendered word: nowhere, in ``training`` (fitting included), or
    for the ``images`` that it makes."""
    oracle: Literal["", "prompts", "words"] = ""
    """What it knows and no user does: ``prompts``: which are open, by a list with the test
    occupations; ``words``: this, and the gender is stated in them."""
    n_trainable: int = 0
    """Number of learned weights, by gradient steps or in closed form."""
    n_examples: int = 0
    """Number of image-caption pairs that it learned from."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Settings chosen on validation occupations."""


def on_each(material: Material, interventions: Sequence[Intervention]) -> Intervention:
    """Let one intervention a text encoder act on what it gives the images, in order."""
    for one, of in zip(interventions, material.on_each_encoder, strict=True):
        one.source = Source(of.encoder)
    whole, *whole.others = interventions
    return whole


Builder = Callable[[Material], Method]
"""Fits a method; equal material gives equal methods."""

BASELINES: Registry[Builder] = Registry("baseline", "probe.baselines")
"""Every method by its name in tables. Names that end in ``-lookup`` act on open prompts only, see
`probe.baselines.words.Lookup`."""
