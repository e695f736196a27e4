"""A caption that is being rewritten: its words, their replacements, and the grammar of both."""

from probe.text.captions.mentions import Mention, Text, mentions
from probe.text.captions.vocabulary import FUNCTION_WORDS, GRAMMAR, CaptionWords
from probe.text.templates import article, english

_APOSTROPHES = ("'", "\u2019")

# Verbs of which inflect chooses another plural.
_PLURAL_VERBS = {
    "ties": "tie", "dies": "die", "lies": "lie", "aches": "ache", "echoes": "echo"
}  # fmt: skip


class Draft(Text):
    """A caption as its words, of which some are replaced or removed."""

    def __init__(self, caption: str) -> None:
        super().__init__(caption)
        found = mentions(self, CaptionWords.load())
        counted = [mention for mention in found if not mention.reason]
        self.gendered = [mention for mention in counted if mention.word.group != "neutral"]
        self.people = {mention.place for mention in counted if mention.word.group == "neutral"}
        """Places of the words for people without a gender."""
        self.new: dict[int, str] = {}
        """Place -> its new word; empty to remove the old one."""

    def replace(self, place: int, new: str) -> None:
        """Replace the word at a place; capitals stay."""
        self.new[place] = in_case_of(new, self.words[place])

    def replace_noun(self, mention: Mention, noun: str) -> None:
        """Replace a noun; a possessive stays a possessive."""
        token, place = mention.token, mention.place
        if "'" in token:
            noun += "'" if noun.endswith("s") and not noun.endswith("ss") else "'s"
        elif token.endswith("s") and self._is_possessive_plural(place) and not noun.endswith("s"):
            noun += "'s"  # `rewritten` removes the old apostrophe
        self.replace(place, noun)

    def rewritten(self) -> str:
        """The caption with its new words, articles and capitals."""
        self._fix_articles()
        parts: list[str] = [self.text[: self.spans[0][0]]] if self.spans else [self.text]
        is_start_gone = False
        for place, (start, end) in enumerate(self.spans):
            new, gap = self.new.get(place, self.text[start:end]), self.gap(place)
            if not new:
                is_start_gone |= place == 0
                if parts[-1].strip() == ",":  # "a tall, female skier"
                    parts[-1] = " "
                if gap.strip():  # "a man and woman, waving"
                    parts[-1] = parts[-1].rstrip() + gap
                continue
            if is_start_gone:
                new, is_start_gone = in_case_of(new, self.words[0][:1]), False
            if new.endswith("'s") and "'" not in self.lower[place] and gap[:1] in _APOSTROPHES:
                gap = gap[1:]
            parts += [new, gap]
        return "".join(parts)

    def _is_possessive_plural(self, place: int) -> bool:
        start, end = self.spans[place]
        is_marked = self.text[end : end + 1] in _APOSTROPHES
        return is_marked and self.text[start - 1 : start] not in _APOSTROPHES

    def _fix_articles(self) -> None:
        changed = set(self.new)
        for place, token in enumerate(self.lower):
            if token not in ("a", "an") or place in changed:
                continue
            after = place + 1
            while after < len(self.lower) and self.new.get(after) == "":
                after += 1
            if after < len(self.lower) and changed & set(range(place + 1, after + 1)):
                word = self.new.get(after, self.words[after])
                like = word if self.words[place].isupper() and word.isupper() else self.words[place]
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
