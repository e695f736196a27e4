"""Captions are told apart by who is in them: male, female, both, people, or nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from probe.text.captions.mentions import mentions
from probe.text.captions.vocabulary import CaptionWords

Category = Literal["male", "female", "both", "neutral_person", "no_person"]

CATEGORIES: tuple[Category, ...] = ("male", "female", "both", "neutral_person", "no_person")

GENDERED: tuple[Category, ...] = ("male", "female", "both")
"""Categories of captions that say a gender."""


@dataclass(frozen=True)
class CaptionReading:
    """What a caption says of the people in its picture, and by which words."""

    category: Category
    words: tuple[str, ...]
    """The words that decided, in their order: those that say a gender if there is one, else those
    that say that a person is there. Empty for ``"no_person"``."""
    passed_over: tuple[tuple[str, str], ...]
    """Words that could have been about a person, each with its reason, one of `REASONS`."""


NOBODY = CaptionReading("no_person", (), ())


def classify(caption: str, words: CaptionWords | None = None) -> CaptionReading:
    """Tell who is in a caption, by its words alone.

    ``"male"`` and ``"female"``: some word says that gender and none the other; ``"both"``: words of
    both; ``"neutral_person"``: a person, and no gender; ``"no_person"``: neither. Names are not
    guessed from. A body part alone, and "they", is no person; a statue of a man is a man (our
    choices: the caption's words are judged, not its picture).

    Parameters
    ----------
    caption : str
    words : CaptionWords, optional
        The shipped ones if not given.

    Examples
    --------
    >>> classify("A man walks his dog past a man-made lake.").words
    ('man', 'his')
    >>> classify("A dog with a ball in his mouth.").category
    'no_person'
    """
    words = CaptionWords.load() if words is None else words
    found = mentions(caption, words)
    if not found:
        return NOBODY
    counted = [mention for mention in found if not mention.reason]
    groups = {mention.word.group for mention in counted}
    passed_over = tuple((mention.token, mention.reason) for mention in found if mention.reason)
    if not groups:
        return CaptionReading("no_person", (), passed_over)
    gendered = groups - {"neutral"} or groups
    return CaptionReading(
        _category(groups),
        tuple(mention.token for mention in counted if mention.word.group in gendered),
        passed_over,
    )


def classify_captions(
    captions: Iterable[str], words: CaptionWords | None = None
) -> Iterator[CaptionReading]:
    """Classify captions one by one, in their order; some 30,000 of COCO's take a second."""
    words = CaptionWords.load() if words is None else words
    return (classify(caption, words) for caption in captions)


def _category(groups: set[str]) -> Category:
    if {"male", "female"} <= groups:
        return "both"
    if "male" in groups:
        return "male"
    return "female" if "female" in groups else "neutral_person"
