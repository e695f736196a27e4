"""The words of a prompt that say a gender: nouns, pronouns, titles, given names and looks."""

from collections.abc import Iterator
from dataclasses import dataclass

from probe.text.captions.mentions import Text, mentions, phrases_in
from probe.text.captions.vocabulary import FUNCTION_WORDS, GenderWords, fold

_REACH = 3
_AFTER_FIRST = frozenset(("is", "was", "has", "who", "the"))
"""Words after a first word that make it a name: "Mark is", "Rose who"."""


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

    Examples
    --------
    >>> read_gender("Jennifer, a carpenter in Virginia").words
    ('Jennifer',)
    >>> read_gender("anything but a female nurse").words
    ('female',)
    >>> read_gender("a photo of a nurse in June").people
    ('nurse',)
    """
    return _Reader(prompt, GenderWords.load() if lists is None else lists).read()


class _Reader(Text):
    """The words of one prompt, and the rules that say what each means."""

    def __init__(self, prompt: str, lists: GenderWords) -> None:
        super().__init__(prompt)
        self.lists = lists
        self.tokens = [fold(word) for word in self.words]

    def read(self) -> GenderReading:
        words, lists = self.words, self.lists
        found: dict[int, tuple[str, str]] = {}  # place -> gender, reason
        people: list[str] = []
        absent = [" ".join(phrase) for _, phrase in phrases_in(self.lower, lists.nobody)]
        for mention in mentions(self, lists.captions):
            place, reason = mention.place, mention.reason
            if mention.word.group != "neutral":
                if not reason and not mention.word.is_pronoun:
                    reason = self._reason_of_noun(place)
                found[place] = (mention.word.group, reason)
            elif self._is_absent(place):
                absent.append(words[place])
            elif not reason:
                people.append(words[place])
        for place, gender, reason in self._titles_and_names():
            found.setdefault(place, (gender, reason))
        if people or not lists.is_whole:
            for place, word in enumerate(self.lower):
                if word in lists.hints:
                    found.setdefault(place, (lists.hints[word], ""))
        in_order = [(words[place], *found[place]) for place in sorted(found)]
        passed = [(word, reason) for word, _, reason in in_order if reason]
        return GenderReading(
            tuple(word for word, _, reason in in_order if not reason),
            tuple(gender for _, gender, reason in in_order if not reason),
            (*passed, *((word, "absent") for word in absent)),
            tuple(people),
            tuple(self._unknown_names()) if self.is_cased() else (),
        )

    def _is_absent(self, place: int) -> bool:
        """Whether the prompt excludes a person: "no people", "without any other person"."""
        before = self.lower[:place]
        while before and before[-1] in ("any", "other", "single", "visible"):
            before.pop()
        return before[-1:] in (["no"], ["without"])

    def _reason_of_noun(self, place: int) -> str:
        is_before_name = self._token(place + 1) in self.lists.names
        if is_before_name and self.lower[place] in self.lists.caution["before"]:
            return "place"  # Santa Barbara
        return "thing" if self.words[place].endswith("'s") and self._owns_thing(place) else ""

    def _titles_and_names(self) -> Iterator[tuple[int, str, str]]:
        """Yield place, gender and reason of each title and name; no reason if it is a person's."""
        lists, caution = self.lists, self.lists.caution
        for place, token in enumerate(self.tokens):
            if token in lists.titles:
                if self.is_capital(place + 1):
                    yield place, lists.titles[token], ""
            elif gender := lists.names.get(token):
                yield place, gender, self._reason_of_name(place)
            elif gender := lists.names.get(token.removesuffix("'s")):
                is_thing = self._token(place - 1) in caution["before"] or self._owns_thing(place)
                yield place, gender, "thing" if is_thing else ""

    def _unknown_names(self) -> Iterator[str]:
        """Yield the words that only their capital makes look like names."""
        lists, caution = self.lists, self.lists.caution
        before_place = caution["after_place"] | caution["before"]
        for place, (word, token) in enumerate(zip(self.words, self.tokens, strict=True)):
            may_be_name = self.is_capital(place) and not word.isupper() and self._is_name_at(place)
            is_listed = token.removesuffix("'s") in lists.names or token in lists.titles
            is_word = word.lower() in lists.captions.known or token in caution["after"]
            if may_be_name and not (self._token(place - 1) in before_place or is_listed or is_word):
                yield word

    def _reason_of_name(self, place: int) -> str:
        """Reason why a name is not a person's; empty if it is."""
        tokens, lists, caution = self.tokens, self.lists, self.lists.caution
        token, last = tokens[place], self._token(place - 1)
        end = place + 1
        while self.is_capital(end) and tokens[end] not in caution["after"]:
            end += 1  # Martin Luther King Street
        is_before_thing = self._token(end) in caution["after"] or tokens[end - 1].endswith("'s")
        if last in caution["before"] or is_before_thing:
            return "thing"
        is_wide = token in lists.wide
        if (is_wide or token in caution["places"]) and last in caution["after_place"]:
            return "place"
        is_capital = self.is_cased() and self.is_capital(place)
        if is_wide and not is_capital:
            return "word"
        if token in caution["words"] and not (is_capital and self._is_name_at(place)):
            return "word"
        if self._is_author(place):
            return "author"
        is_surname = place > 1 and is_capital and self.is_capital(place - 1)
        is_given = last in lists.givers or last in lists.captions.known  # "our CEO Daniel"
        return "surname" if is_surname and not is_given else ""

    def _is_author(self, place: int) -> bool:
        """Whether a name is the artist's: "art by", "a nurse, by", "style of"."""
        first = place
        while self.is_capital(first - 1):
            first -= 1  # Greg in "by Greg Rutkowski"
        last, second_last = self._token(first - 1), self._token(first - 2)
        if last == "of":
            return second_last in ("style", "manner")
        is_after_comma = first > 1 and self._is_before_comma(first - 2)
        return last == "by" and (second_last in self.lists.caution["works"] or is_after_comma)

    def _owns_thing(self, place: int) -> bool:
        """Whether a word in 's only names the owner of a thing: "a woman's hat".

        "A woman's face" and "Ida's first day as a judge" show her, and "she's a nurse" and "the
        man's in red" own nothing.
        """
        for step, word in enumerate(self.lower[place + 1 : place + 1 + _REACH]):
            if word in FUNCTION_WORDS:
                return step > 0 and word != "as"
            if word in self.lists.caution["body"] or word in self.lists.captions.known:
                return False
        return True

    def _is_name_at(self, place: int) -> bool:
        """Whether a capital marks a name there; of a first word, by the comma or word after it."""
        return place > 0 or self._is_before_comma(0) or self._token(1) in _AFTER_FIRST

    def _is_before_comma(self, place: int) -> bool:
        end = self.spans[place][1]
        return self.text[end : end + 1] == ","

    def _token(self, place: int) -> str:
        """The word at a place; empty outside of the prompt."""
        return self.tokens[place] if 0 <= place < len(self.tokens) else ""
