"""The words of a prompt that say a gender: nouns, pronouns, titles, given names and looks."""

from __future__ import annotations

from dataclasses import dataclass

from probe.text.captions.gender_words import GenderWords
from probe.text.captions.given_names import Written, owns_thing, titles_and_names, unknown_names
from probe.text.captions.mentions import mentions, phrases_in


@dataclass(frozen=True)
class GenderReading:
    """The words of a prompt that say a gender, and those that mention a person without one."""

    words: tuple[str, ...]
    """Words that say a gender, as written, in their order."""
    genders: tuple[str, ...]
    """Of each word, of `GENDERS`."""
    passed_over: tuple[tuple[str, str], ...]
    """Words that do not count, each with its reason: those of
    `probe.text.captions.mentions.REASONS`, and for names ``"place"``, ``"thing"``, ``"word"``,
    ``"surname"`` and ``"author"``; ``"absent"`` marks people who are not there ("no people")."""
    people: tuple[str, ...] = ()
    """Words for a person that say no gender, as written: "nurse"."""
    unknown: tuple[str, ...] = ()
    """Capitalised words on no list: perhaps names."""


NOTHING = GenderReading((), (), ())


def read_gender(prompt: str, lists: GenderWords | None = None) -> GenderReading:
    """Find the words of a prompt that say a gender, and those for a person that say none.

    A negated word counts too. Nouns and pronouns follow the rules of captions
    (`probe.text.captions.mentions`): "a man-made lake" says no gender. "A bearded nurse" says one,
    because the prompt asks for a look that is mostly one gender's. A given name counts unless it
    is a place ("in Virginia"), a thing ("St. Paul's Cathedral", "Maria's hat"), a surname ("the
    work of Taylor Thomas as a carpenter"), the artist ("art by Maria Sanchez") or, without a
    capital or at the beginning, perhaps a word ("a rose"). Names of both genders are on no list.

    Parameters
    ----------
    prompt : str
    lists : GenderWords, optional
        The shipped ones if not given.

    Examples
    --------
    >>> read_gender("Jennifer, a carpenter in Virginia").words
    ('Jennifer',)
    >>> read_gender("anything but a female nurse").words
    ('female',)
    >>> read_gender("a photo of a nurse in June").words
    ()
    >>> read_gender("a photo of a nurse in June").people
    ('nurse',)
    """
    lists = GenderWords.load() if lists is None else lists
    written = Written.read(prompt)
    words, lower = written.words, [word.lower() for word in written.words]
    found: dict[int, tuple[str, str]] = {}  # place -> gender, reason
    people: list[str] = []
    absent = [" ".join(phrase) for _, phrase in phrases_in(lower, lists.nobody)]
    for mention in mentions(prompt, lists.captions):
        if mention.word.group == "neutral":
            if _is_absent(lower, mention.place):
                absent.append(words[mention.place])
            elif not mention.reason:
                people.append(words[mention.place])
        else:
            reason = mention.reason
            if not reason and not mention.word.is_pronoun:
                reason = _reason_of_noun(written, mention.place, lists)
            found[mention.place] = (mention.word.group, reason)
    for place, gender, reason in titles_and_names(written, lists):
        found.setdefault(place, (gender, reason))
    if people:
        for place, word in enumerate(lower):
            if gender := lists.hints.get(word, ""):
                found.setdefault(place, (gender, ""))
    counted = [place for place in sorted(found) if not found[place][1]]
    passed = [place for place in sorted(found) if found[place][1]]
    return GenderReading(
        tuple(words[place] for place in counted),
        tuple(found[place][0] for place in counted),
        (*((words[at], found[at][1]) for at in passed), *((of, "absent") for of in absent)),
        tuple(people),
        tuple(unknown_names(written, lists)),
    )


def _is_absent(lower: list[str], place: int) -> bool:
    """Whether the prompt excludes a person: "no people", "without any other person"."""
    before = lower[:place]
    while before and before[-1] in ("any", "other", "single", "visible"):
        before.pop()
    return bool(before) and before[-1] in ("no", "without")


def _reason_of_noun(written: Written, place: int, lists: GenderWords) -> str:
    """Reason why a noun is no person; empty if it is one."""
    words, tokens = written.words, written.tokens
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    if words[place].lower() in lists.before and following in lists.names:
        return "place"  # Santa Barbara
    return "thing" if words[place].endswith("'s") and owns_thing(words, place, lists) else ""
