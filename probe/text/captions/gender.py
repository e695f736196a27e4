"""The words by which a prompt says a gender, nouns, pronouns, titles, names, or a person alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from probe.text.captions.grammar import FUNCTION_WORDS
from probe.text.captions.senses import is_cased, mentions, phrases_in
from probe.text.captions.tokens import spans_of, words_of
from probe.text.captions.words import CaptionWords, Word, by_first, read_words

DEFAULT = Path(__file__).parent.parent.parent / "data" / "gender_words.toml"
"""The lists that are shipped with the package, beside those of captions."""
WIDE = DEFAULT.parent / "names"
"""Many more given names, a file a gender, taken by a rule that NOTICE.md there states."""

GENDERS = ("male", "female")
_REACH = 3
_SHORT = ("mr", "mrs", "ms", "mx", "dr")
_AFTER_FIRST = frozenset(("is", "was", "has", "who", "the"))
"""What makes a person's name of a word that begins a sentence: "Mark is", "Rose, who"."""
_UNFOLDED = str.maketrans(
    {"ø": "o", "ł": "l", "ß": "ss", "\u0131": "i", "đ": "d", "ð": "d", "æ": "ae", "þ": "th"}
)


@dataclass(frozen=True)
class GenderReading:
    """What a prompt says of gender, and by which words."""

    words: tuple[str, ...]
    """Those that say one, as they are written, in their order."""
    genders: tuple[str, ...]
    """Of each word, of `GENDERS`."""
    passed_over: tuple[tuple[str, str], ...]
    """Words that could have said one, each with the reason why it does not: those of
    `probe.text.captions.senses.REASONS`, and for names ``"place"``, ``"thing"``, ``"word"``,
    ``"surname"`` and ``"author"``; ``"absent"`` is what says that nobody is there."""
    people: tuple[str, ...] = ()
    """Words for a person who is there that say no gender, as they are written: "nurse"."""
    unknown: tuple[str, ...] = ()
    """Words with a capital that are on no list and no place: perhaps names."""


NOTHING = GenderReading((), (), ())


@dataclass(frozen=True)
class GenderWords:
    """The lists by which a prompt is read; every key is in lower case and without accents."""

    captions: CaptionWords
    """Those of captions, with further nouns."""
    titles: Mapping[str, str]
    """Title -> gender."""
    hints: Mapping[str, str]
    """What is said of a person's looks -> the gender that it is mostly said of."""
    names: Mapping[str, str]
    """Given name -> gender."""
    wide: frozenset[str]
    """Those of `names` that are known from `WIDE` alone: they count only with a capital, and not
    where they could be places."""
    words: frozenset[str]
    """Names that are words too."""
    places: frozenset[str]
    """Names that are places too."""
    after_place: frozenset[str]
    before: frozenset[str]
    after: frozenset[str]
    body: frozenset[str]
    """What shows its owner: "a woman's face"."""
    works: frozenset[str]
    """What an author is named after: "painted by Greta"."""
    nobody: Mapping[str, tuple[tuple[str, ...], ...]]
    """First token -> phrases that say that nobody is there."""
    givers: frozenset[str]
    """What may stand before a given name in capitals: titles and other names."""

    @classmethod
    def load(cls, path: Path | None = None) -> GenderWords:
        """Read and check a file of lists; the shipped one if no path is given.

        Raises
        ------
        DataError
            If it cannot be read, lacks a list, or gives a name to both genders.
        """
        return _shipped() if path is None else _read(Path(path))

    def without(self, words: Iterable[str]) -> GenderWords:
        """Give the same lists, as if some names and nouns had been left out."""
        hidden = set(map(fold, words))
        known = {word: of for word, of in self.captions.known.items() if word not in hidden}
        names = {name: gender for name, gender in self.names.items() if name not in hidden}
        return replace(self, captions=replace(self.captions, known=known), names=names)


def read_gender(prompt: str, lists: GenderWords | None = None) -> GenderReading:
    """Find the words by which a prompt says a gender, and those for a person that say none.

    A negated word says a gender, too.

    Nouns and pronouns are judged as those of captions are (`probe.text.captions.senses`): "a
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
    raw = words_of(prompt)
    found: dict[int, tuple[str, str]] = {}  # place -> gender, reason
    people: list[str] = []
    said = phrases_in([word.lower() for word in raw], lists.nobody)
    absent = [" ".join(phrase) for _, phrase in said]
    for mention in mentions(prompt, lists.captions):
        if mention.word.group == "neutral":
            if _is_absent(raw, mention.place):
                absent.append(raw[mention.place])
            elif not mention.reason:
                people.append(raw[mention.place])
        else:
            reason = mention.reason
            if not reason and not mention.word.is_pronoun:
                reason = _reason_of_noun(raw, mention.place, lists)
            found[mention.place] = (mention.word.group, reason)
    for place, gender, reason in _titles_and_names(prompt, raw, lists):
        found.setdefault(place, (gender, reason))
    if people:
        for place, word in enumerate(raw):
            if gender := lists.hints.get(word.lower(), ""):
                found.setdefault(place, (gender, ""))
    counted = [place for place in sorted(found) if not found[place][1]]
    passed = [place for place in sorted(found) if found[place][1]]
    return GenderReading(
        tuple(raw[place] for place in counted),
        tuple(found[place][0] for place in counted),
        (*((raw[place], found[place][1]) for place in passed), *((of, "absent") for of in absent)),
        tuple(people),
        tuple(_unknown_names(prompt, raw, lists)),
    )


def _is_absent(raw: list[str], place: int) -> bool:
    """Tell whether a person is said not to be there: "no people", "without any other person"."""
    before = [word.lower() for word in raw[:place]]
    while before and before[-1] in ("any", "other", "single", "visible"):
        before.pop()
    return bool(before) and before[-1] in ("no", "without")


def _reason_of_noun(raw: list[str], place: int, lists: GenderWords) -> str:
    """Say why a noun that captions count is of no person; empty if it is."""
    following = raw[place + 1] if place + 1 < len(raw) else ""
    if following and raw[place].lower() in lists.before and fold(following) in lists.names:
        return "place"  # Santa Barbara
    return "thing" if raw[place].endswith("'s") and _owns_thing(raw, place, lists) else ""


def _owns_thing(raw: list[str], place: int, lists: GenderWords) -> bool:
    """Tell whether a word in 's only says whose a thing is: "a woman's hat".

    "A woman's face" and "Ida's first day as a judge" show her, and "she's a nurse" and "the man's
    in red" own nothing.
    """
    following = [word.lower() for word in raw[place + 1 : place + 1 + _REACH]]
    for step, word in enumerate(following):
        if word in FUNCTION_WORDS:
            return step > 0 and word != "as"
        if word in lists.body or word in lists.captions.known:
            return False
    return True


def _titles_and_names(
    prompt: str, raw: list[str], lists: GenderWords
) -> Iterator[tuple[int, str, str]]:
    """Give place, gender and reason of each title and name."""
    tokens = [fold(word) for word in raw]
    cased = is_cased(raw)
    for place, token in enumerate(tokens):
        if token in lists.titles:
            if place + 1 < len(raw) and raw[place + 1][0].isupper():
                yield place, lists.titles[token], ""
        elif gender := lists.names.get(token):
            yield place, gender, _reason(prompt, raw, tokens, place, cased=cased, lists=lists)
        elif gender := lists.names.get(token.removesuffix("'s")):
            is_thing = tokens[place - 1] in lists.before if place else False
            yield place, gender, "thing" if is_thing or _owns_thing(raw, place, lists) else ""


def _unknown_names(prompt: str, raw: list[str], lists: GenderWords) -> Iterator[str]:
    """Give the words that a capital, and nothing else, makes look like names."""
    if not is_cased(raw):
        return
    tokens = [fold(word) for word in raw]
    for place, (word, token) in enumerate(zip(raw, tokens, strict=True)):
        if not word[0].isupper() or word.isupper() or not (place or _begins(prompt, tokens)):
            continue
        is_place = place > 0 and tokens[place - 1] in lists.after_place | lists.before
        is_listed = token.removesuffix("'s") in lists.names or token in lists.titles
        is_word = word.lower() in lists.captions.known or token in lists.after
        if not (is_place or is_listed or is_word):
            yield word


def _reason(
    prompt: str,
    raw: list[str],
    tokens: list[str],
    place: int,
    *,
    cased: bool,
    lists: GenderWords,
) -> str:
    """Say why a name is no person's; empty if it is one."""
    token, last = tokens[place], tokens[place - 1] if place else ""
    end = place + 1
    while end < len(raw) and raw[end][0].isupper() and tokens[end] not in lists.after:
        end += 1  # Martin Luther King Street
    following = tokens[end] if end < len(tokens) else ""
    if last in lists.before or following in lists.after or tokens[end - 1].endswith("'s"):
        return "thing"
    is_wide = token in lists.wide
    if (is_wide or token in lists.places) and last in lists.after_place:
        return "place"
    is_capital = cased and raw[place][0].isupper()
    if is_wide and not is_capital:
        return "word"
    if token in lists.words and not (is_capital and (place or _begins(prompt, tokens))):
        return "word"
    if _is_author(prompt, raw, tokens, place, lists):
        return "author"
    is_surname = place > 1 and is_capital and raw[place - 1][0].isupper()
    is_given = last in lists.givers or last in lists.captions.known  # "our CEO Daniel"
    return "surname" if is_surname and not is_given else ""


def _is_author(
    prompt: str, raw: list[str], tokens: list[str], place: int, lists: GenderWords
) -> bool:
    """Tell whether a name is that of who made the picture: "art by", "a nurse, by", "style of"."""
    first = place
    while first and raw[first - 1][0].isupper():
        first -= 1  # Greg in "by Greg Rutkowski"
    if first < 2 or tokens[first - 1] not in ("by", "of"):
        return False
    if tokens[first - 1] == "of":
        return tokens[first - 2] in ("style", "manner")
    end = spans_of(prompt)[first - 2][1]
    return tokens[first - 2] in lists.works or prompt[end : end + 1] == ","


def _begins(prompt: str, tokens: list[str]) -> bool:
    """Tell whether the first word is a name by what follows: a comma, or one of a few verbs."""
    end = spans_of(prompt)[0][1]
    return prompt[end : end + 1] == "," or (len(tokens) > 1 and tokens[1] in _AFTER_FIRST)


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """Give a word in lower case and without accents: "José" is "jose"."""
    bare = unicodedata.normalize("NFKD", word.lower().translate(_UNFOLDED))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))


@lru_cache(maxsize=1)
def _shipped() -> GenderWords:
    return _read(DEFAULT)


def _read(path: Path) -> GenderWords:
    return read_words(path, _build, shipped=DEFAULT)


def _build(data: Mapping[str, Any]) -> GenderWords:
    shipped = CaptionWords.load()
    nouns = {noun: Word(gender) for gender in GENDERS for noun in data["nouns"][gender].split()}
    nouns |= {f"{noun}'s": word for noun, word in nouns.items()}
    attributive = dict(shipped.attributive)
    for entry in data["things"]:
        for word in entry["words"].split():
            things = frozenset(entry["next"].split())
            attributive[word] = attributive.get(word, frozenset()) | things
    names: dict[str, str] = {}
    for entry in data["given_names"]:
        for gender in GENDERS:
            for name in map(fold, entry[gender].split()):
                if names.setdefault(name, gender) != gender:
                    raise ValueError(f"{name!r} is given to both genders; leave it out")
    wide = {
        name: gender
        for gender in GENDERS
        for name in (WIDE / f"{gender}.txt").read_text("utf-8").split()
        if name not in names
    }
    titles = {fold(t): gender for gender in GENDERS for t in data["titles"][gender].split()}
    caution = data["caution"]
    lists = ("words", "places", "after_place", "before", "after", "body", "works")
    return GenderWords(
        captions=replace(
            shipped,
            known={**nouns, **shipped.known},
            attributive=attributive,
            titles=frozenset((*shipped.titles, *titles, *_SHORT)),
        ),
        titles=titles,
        hints={word: of for of in GENDERS for word in data["hints"][of].split()},
        names={name: of for name, of in (names | wide).items() if name not in shipped.known},
        wide=frozenset(wide),
        nobody=by_first(caution["nobody"].split(",")),
        givers=frozenset((*titles, *shipped.titles, *_SHORT, *names)),
        **{name: frozenset(map(fold, caution[name].split())) for name in lists},
    )
