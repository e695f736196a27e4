"""Prompt templates: fill their slots with words, each with the article that it needs."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import inflect

_SLOT = re.compile(r"\{(\w+)\}")
_SLOT_WITH_ARTICLE = re.compile(r"\ban? \{(\w+)\}")
_AN = ("usher.*", "SUVs?", "LEDs?", "NYPD", r"8\b.*", r"8\d\b.*", r"1[18]\b.*")
_A = ("UPS",)
"""First words of which inflect chooses the other article."""


def fill(template: str, **words: str) -> str:
    """Put words into the slots of a template; "a {slot}" becomes "an" before a vowel sound.

    >>> fill("a photo of a {person} working as a {subject}", person="man", subject="auditor")
    'a photo of a man working as an auditor'
    """
    text = _SLOT_WITH_ARTICLE.sub(lambda slot: with_article(words[slot[1]]), template)
    return _SLOT.sub(lambda slot: words[slot[1]], text)


def slots_of(template: str) -> list[str]:
    """List the slots of a template, each once, in order."""
    return list(dict.fromkeys(re.findall(r"\{(.*?)\}", template)))


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun, by its sound: "an hour", "a unicorn", "an MP", "a CEO"."""
    return f"{article(noun)} {noun}"


@lru_cache(maxsize=1 << 12)
def article(noun: str) -> str:
    """Choose "a" or "an" for a noun by the sound of its first word."""
    words = noun.split()
    return english().a(words[0]).split()[0] if words else "a"


@lru_cache(maxsize=1)
def english() -> inflect.engine:
    """The engine of inflect, imported when it is first needed and without checks of its own types.

    inflect decorates its methods with typeguard's ``typechecked``, which rewrites each of them at
    import: 1.6 s instead of 0.1.
    """
    import typeguard

    checked = typeguard.typechecked
    setattr(typeguard, "typechecked", lambda function: function)  # noqa: B010
    try:
        import inflect
    finally:
        setattr(typeguard, "typechecked", checked)  # noqa: B010
    engine = inflect.engine()
    for pattern in _AN:
        engine.defan(pattern)
    for pattern in _A:
        engine.defa(pattern)
    return engine
