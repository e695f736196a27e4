"""The model that ships, and explicit prompts of a few occupations, for tests that run networks."""

from __future__ import annotations

import pytest

from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

JOBS = ["nurse", "CEO", "construction worker", "mechanic"]


@pytest.fixture(scope="module")
def tinytown():
    return TextEncoder.load("tinytown")


@pytest.fixture(scope="module")
def said():
    return PromptSet.build(Lexicon.load()).select(group=["male", "female"], subject=JOBS)
