"""A caption that is being rewritten: its words, their replacements, and the grammar of both."""

from __future__ import annotations

from dataclasses import dataclass, field

from probe.text.captions.mentions import APOSTROPHES, Mention, mentions, spans_of
from probe.text.captions.vocabulary import FUNCTION_WORDS, GRAMMAR, CaptionWords
from probe.text.templates import article, english

# Verbs of which inflect chooses another plural.
_PLURAL_VERBS = {
    "ties": "tie", "dies": "die", "lies": "lie", "aches": "ache", "echoes": "echo"
}  # fmt: skip


@dataclass
class Draft:
    """A caption as its words, of which some are replaced or removed."""

    caption: str
    spans: list[tuple[int, int]]
    """Where each word begins and ends."""
    tokens: list[str]
    """The words, in lower case."""
    gendered: list[Mention]
    """Words that say a person's gender."""
    people: set[int]
    """Places of the words for people without a gender."""
    new: dict[int, str] = field(default_factory=dict)
    """Place -> its new word; empty to remove the old one."""

    @classmethod
    def read(cls, caption: str) -> Draft:
        """Split a caption into words, and find those that say a gender."""
        spans = spans_of(caption)
        found = mentions(caption, CaptionWords.load())
        counted = [mention for mention in found if not mention.reason]
        return cls(
            caption,
            spans,
            [caption[start:end].replace("\u2019", "'").lower() for start, end in spans],
            [mention for mention in counted if mention.word.group != "neutral"],
            {mention.place for mention in counted if mention.word.group == "neutral"},
        )

    def old(self, place: int) -> str:
        """The word at a place, as written."""
        start, end = self.spans[place]
        return self.caption[start:end]

    def at(self, place: int) -> str:
        """The word at a place in lower case; empty outside of the caption."""
        return self.tokens[place] if 0 <= place < len(self.tokens) else ""

    def gap(self, place: int) -> str:
        """The text between a word and the next, or the end."""
        end = self.spans[place + 1][0] if place + 1 < len(self.spans) else len(self.caption)
        return self.caption[self.spans[place][1] : end]

    def next(self, place: int) -> str:
        """The next word of the same clause; empty before a punctuation mark or the end."""
        return "" if self.gap(place).strip() else self.at(place + 1)

    def replace(self, place: int, new: str) -> None:
        """Replace the word at a place; capitals stay."""
        self.new[place] = in_case_of(new, self.old(place))

    def replace_noun(self, mention: Mention, noun: str) -> None:
        """Replace a noun; a possessive stays a possessive."""
        token, place = mention.token, mention.place
        if "'" in token:
            noun += "'" if noun.endswith("s") and not noun.endswith("ss") else "'s"
        elif token.endswith("s") and self._is_possessive_plural(place) and not noun.endswith("s"):
            noun += "'s"  # `text` removes the old apostrophe
        self.replace(place, noun)

    def text(self) -> str:
        """The caption with its new words, articles and capitals."""
        self._fix_articles()
        parts: list[str] = [self.caption[: self.spans[0][0]]] if self.spans else [self.caption]
        is_start_gone = False
        for place in range(len(self.spans)):
            new, gap = self.new.get(place, self.old(place)), self.gap(place)
            if not new:
                is_start_gone |= place == 0
                if parts[-1].strip() == ",":  # "a tall, female skier"
                    parts[-1] = " "
                if gap.strip():  # "a man and woman, waving"
                    parts[-1] = parts[-1].rstrip() + gap
                continue
            if is_start_gone:
                new, is_start_gone = in_case_of(new, self.old(0)[:1]), False
            if new.endswith("'s") and "'" not in self.tokens[place] and gap[:1] in APOSTROPHES:
                gap = gap[1:]
            parts += [new, gap]
        return "".join(parts)

    def _is_possessive_plural(self, place: int) -> bool:
        start, end = self.spans[place]
        is_marked = self.caption[end : end + 1] in APOSTROPHES
        return is_marked and self.caption[start - 1 : start] not in APOSTROPHES

    def _fix_articles(self) -> None:
        changed = set(self.new)
        for place, token in enumerate(self.tokens):
            if token not in ("a", "an") or place in changed:
                continue
            after = place + 1
            while after < len(self.tokens) and self.new.get(after) == "":
                after += 1
            if after < len(self.tokens) and changed & set(range(place + 1, after + 1)):
                word = self.new.get(after, self.old(after))
                like = word if self.old(place).isupper() and word.isupper() else self.old(place)
                self.new[place] = in_case_of(article(word), like)


def in_case_of(word: str, like: str) -> str:
    """Capitalise a word like another: no letter, the first, or all."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


def is_adverb(word: str) -> bool:
    """Whether a word is an adverb, by its ending or a short list."""
    is_ly = word.endswith("ly") and word not in GRAMMAR["no_adverbs"]
    return is_ly or word in GRAMMAR["adverbs"]


def is_participle(word: str) -> bool:
    """Whether a word in -ing is a form of a verb, and no noun such as "wedding"."""
    return word.endswith("ing") and word not in GRAMMAR["nouns_in_ing"]


def ends_noun_phrase(following: str) -> bool:
    """Whether no noun follows; ``following`` is empty at the end of the clause."""
    return not following or following in FUNCTION_WORDS or is_adverb(following)


def is_owner(following: str, after_that: str) -> bool:
    """Whether "her" before two words is possessive ("her dog") and not an object ("beside her")."""
    if ends_noun_phrase(following):
        return False
    if is_participle(following):
        return bool(after_that) and after_that not in FUNCTION_WORDS  # "her sleeping baby"
    return True


def describes(following: str) -> bool:
    """Whether "male" before a word is an adjective ("a male cook") and not a noun."""
    is_verb = is_participle(following) or following in GRAMMAR["auxiliaries"]
    return not ends_noun_phrase(following) and not is_verb


def plural_verb(verb: str) -> str:
    """Plural of a verb in the third person: "rides" becomes "ride", "is" becomes "are".

    Any other word is returned unchanged.
    """
    if verb in GRAMMAR["no_verbs"] or verb.endswith("'s"):
        return verb
    return _PLURAL_VERBS.get(verb) or (str(english().plural_verb(verb)) if verb else "")
