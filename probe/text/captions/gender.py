"""The words by which a prompt says a gender, nouns, pronouns, titles, names, or a person alone."""

from __future__ import annotations

from dataclasses import dataclass

from probe.text.captions.gender_words import GenderWords
from probe.text.captions.given_names import Written, owns_thing, titles_and_names, unknown_names
from probe.text.captions.mentions import mentions, phrases_in


@dataclass(frozen=True)
class GenderReading:
    """What a prompt says of gender, and by which words."""

    words: tuple[str, ...]
    """Those that say one, as they are written, in their order."""
    genders: tuple[str, ...]
    """Of each word, of `GENDERS`."""
    passed_over: tuple[tuple[str, str], ...]
    """Words that could have said one, each with the reason why it does not: those of
    `probe.text.captions.mentions.REASONS`, and for names ``"place"``, ``"thing"``, ``"word"``,
    ``"surname"`` and ``"author"``; ``"absent"`` is what says that nobody is there."""
    people: tuple[str, ...] = ()
    """Words for a person who is there that say no gender, as they are written: "nurse"."""
    unknown: tuple[str, ...] = ()
    """Words with a capital that are on no list and no place: perhaps names."""


NOTHING = GenderReading((), (), ())


def read_gender(prompt: str, lists: GenderWords | None = None) -> GenderReading:
    """Find the words by which a prompt says a gender, and those for a person that say none.

    A negated word says a gender, too.

    Nouns and pronouns are judged as those of captions are (`probe.text.captions.mentions`): "a
    man-made lake" says none. "A bearded nurse" says one: who asks for looks is to get them. A given
    name counts unless it is a place ("in Virginia"), a thing ("St. Paul's Cathedral", "Maria's
    hat"), a surname ("the work of Taylor Thomas as a carpenter"), the picture's author ("art by
    Maria Sanchez") or, without a capital or at the beginning, perhaps a word ("a rose"). Names that
    both genders bear are on no list.

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
    said = phrases_in(lower, lists.nobody)
    absent = [" ".join(phrase) for _, phrase in said]
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
    """Tell whether a person is said not to be there: "no people", "without any other person"."""
    before = lower[:place]
    while before and before[-1] in ("any", "other", "single", "visible"):
        before.pop()
    return bool(before) and before[-1] in ("no", "without")


def _reason_of_noun(written: Written, place: int, lists: GenderWords) -> str:
    """Say why a noun that captions count is of no person; empty if it is."""
    words, tokens = written.words, written.tokens
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    if words[place].lower() in lists.before and following in lists.names:
        return "place"  # Santa Barbara
    return "thing" if words[place].endswith("'s") and owns_thing(words, place, lists) else ""
