"""A caption that is being rewritten: its words, their replacements, and the text between."""

from __future__ import annotations

from dataclasses import dataclass, field

from probe.text.captions.grammar import in_case_of, possessive
from probe.text.captions.mentions import Mention, mentions
from probe.text.captions.tokenization import APOSTROPHES, spans_of
from probe.text.captions.vocabulary import CaptionWords
from probe.text.templates import article


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
    def read(cls, caption: str, words: CaptionWords) -> Draft:
        """Split a caption into words, and find those that say a gender."""
        spans = spans_of(caption)
        counted = [mention for mention in mentions(caption, words) if not mention.reason]
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
            self.replace(place, possessive(noun))
        elif token.endswith("s") and self._is_possessive_plural(place) and not noun.endswith("s"):
            self.replace(place, f"{noun}'s")  # `text` removes the old apostrophe
        else:
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
