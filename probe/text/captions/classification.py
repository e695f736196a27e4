"""Classification of captions by the people in them: male, female, both, people, or nobody."""

from __future__ import annotations

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
    """The category of a caption, and the words that decided."""

    category: Category
    words: tuple[str, ...]
    """The words that decided, in their order: those that say a gender if there is one, else those
    that say that a person is there. Empty for ``"no_person"``."""
    passed_over: tuple[tuple[str, str], ...]
    """Words that could have been about a person, each with its reason, one of `REASONS`."""


def classify(caption: str, words: CaptionWords | None = None) -> CaptionReading:
    """Classify a caption by its words.

    ``"male"`` and ``"female"``: some word says that gender and none the other; ``"both"``: words of
    both; ``"neutral_person"``: a person, and no gender; ``"no_person"``: neither. No gender is
    guessed from a name. A body part alone, and "they", is no person; a statue of a man is a man
    (our choices: the caption's words are classified, not its picture).

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
    found = mentions(caption, CaptionWords.load() if words is None else words)
    counted = [mention for mention in found if not mention.reason]
    groups = {mention.word.group for mention in counted}
    deciding = groups - {"neutral"} or groups
    return CaptionReading(
        _category(groups),
        tuple(mention.token for mention in counted if mention.word.group in deciding),
        tuple((mention.token, mention.reason) for mention in found if mention.reason),
    )


def _category(groups: set[str]) -> Category:
    if {"male", "female"} <= groups:
        return "both"
    if "male" in groups:
        return "male"
    if "female" in groups:
        return "female"
    return "neutral_person" if groups else "no_person"
