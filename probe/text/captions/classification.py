"""Classification of captions by the people in them: male, female, both, people, or nobody."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from probe.errors import DataError, OptionError
from probe.io.escaping import harmless
from probe.io.files import atomic
from probe.stats.interval import Interval
from probe.stats.notation import bracketed
from probe.stats.proportion import binomial_interval
from probe.text.captions.counterfactuals import neutralise, swap_gender
from probe.text.captions.files import CaptionFile, open_captions
from probe.text.captions.mentions import REASONS, Text, mentions
from probe.text.captions.vocabulary import CaptionWords

Category = Literal["male", "female", "both", "neutral_person", "no_person"]

CATEGORIES: tuple[Category, ...] = get_args(Category)
GENDERED = ("male", "female", "both")
"""Categories of captions that say a gender."""

_SHOWN = 8  # words a line
_KEPT = 50  # words a category in JSON


@dataclass(frozen=True)
class CaptionReading:
    """The category of a caption, and the words that decided."""

    category: Category
    words: tuple[str, ...]
    """The words that decided, in their order: those that say a gender if there is one, else those
    that say that a person is there. Empty for ``"no_person"``."""
    passed_over: tuple[tuple[str, str], ...]
    """Words that could have been about a person, each with its reason, one of `REASONS`."""


@dataclass(eq=False)
class CaptionAudit:
    """Categories of the captions of a file, and the words that decided."""

    file: CaptionFile
    counts: Counter[Category]
    """Captions of each category."""
    words: Mapping[Category, Counter[str]]
    """Per category, word that decided -> number of captions."""
    passed_over: Mapping[str, Counter[str]]
    """Reason -> word that did not count -> how often."""
    counterfactuals: Counter[str] | None
    """If they were written: ``n``, the captions that say a gender, each a row of the table;
    ``n_without_swap`` and ``n_without_neutral``, those of which a word has no counterpart of the
    other gender, or no neutral one, so that a cell is empty."""
    n_empty: int = 0
    """Rows without a caption."""

    def __len__(self) -> int:
        return sum(self.counts.values())

    def share(self, category: Category) -> Interval:
        """Share of a category among the captions, with its 95 % interval (exact).

        It holds for captions that were drawn one by one; of several captions of one image, the
        true interval is wider.
        """
        return binomial_interval(self.counts[category], len(self))

    def summary(self) -> str:
        """A line on the file, a line for each category, and a line for each reason."""
        n, place = len(self), self.file.place()
        lines = [
            f"{n:,} captions from {place}; {self.n_empty:,} rows without a caption",
            f"{'':<15}{'captions':>9}  {'share [95 % interval]':<23}words that decided",
        ]
        for category in CATEGORIES:
            found, words = self.share(category), _shown(self.words[category])
            share = bracketed(found.value, found.low, found.high)
            lines.append(f"{category:<15}{self.counts[category]:>9,}  {share:<23}{words}".rstrip())
        reasons = {reason: words for reason, words in self.passed_over.items() if words}
        if reasons:
            lines.append("passed over, for the word is")
            lines += [f"  {REASONS[of]:<34}{_shown(words)}" for of, words in reasons.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Counts, shares and the most frequent words."""
        categories = {}
        for category in CATEGORIES:
            share = self.share(category)
            categories[category] = {
                "n": self.counts[category],
                "share": {"value": share.value, "low": share.low, "high": share.high},
                "words": _first(self.words[category], _KEPT),
            }
        written = self.counterfactuals
        return {
            "source": self.file.path.name,
            "column": self.file.column,
            "layout": self.file.layout,
            "n": len(self),
            "n_empty": self.n_empty,
            "categories": categories,
            **({} if written is None else {"counterfactual": dict(written)}),
            "passed_over": {of: _first(words, _KEPT) for of, words in self.passed_over.items()},
        }


def classify(caption: str) -> CaptionReading:
    """Classify a caption by its words.

    ``"male"`` and ``"female"``: some word says that gender and none the other; ``"both"``: words of
    both; ``"neutral_person"``: a person, and no gender; ``"no_person"``: neither. No gender is
    guessed from a name. A body part alone, and "they", is no person; a statue of a man is a man
    (our choices: the caption's words are classified, not its image).

    Examples
    --------
    >>> classify("A man walks his dog past a man-made lake.").words
    ('man', 'his')
    >>> classify("A dog with a ball in his mouth.").category
    'no_person'
    """
    found = mentions(Text(caption), CaptionWords.load())
    counted = [mention for mention in found if not mention.reason]
    groups = {mention.word.group for mention in counted}
    genders = groups - {"neutral"}
    category: Category
    if len(genders) == 2:
        category = "both"
    elif genders:
        category = "male" if "male" in genders else "female"
    else:
        category = "neutral_person" if groups else "no_person"
    return CaptionReading(
        category,
        tuple(mention.token for mention in counted if mention.word.group in (genders or groups)),
        tuple((mention.token, mention.reason) for mention in found if mention.reason),
    )


def audit_captions(
    path: str | Path,
    *,
    column: str | None = None,
    out: str | Path | None = None,
    counterfactuals: str | Path | None = None,
) -> CaptionAudit:
    """Classify the captions of a file, in bounded memory.

    ``out`` and ``counterfactuals`` are ``.csv`` files to write. ``out`` has one row a caption:
    ``caption``, ``category``, ``words`` (that decided), ``passed_over`` (word and reason).
    ``counterfactuals`` has one row a caption that says a gender: ``caption``, ``category``,
    ``gender_swap`` (see `swap_gender`) and ``neutral`` (see `neutralise`). A cell that a
    spreadsheet would take for a formula gets an apostrophe before it.
    """
    written = Counter(n=0, n_without_swap=0, n_without_neutral=0)
    audit = CaptionAudit(
        open_captions(path, column=column),
        counts=Counter(dict.fromkeys(CATEGORIES, 0)),
        words={category: Counter() for category in CATEGORIES},
        passed_over={reason: Counter() for reason in REASONS},
        counterfactuals=None if counterfactuals is None else written,
    )
    with (
        _table(out, "caption", "category", "words", "passed_over") as write,
        _table(counterfactuals, "caption", "category", "gender_swap", "neutral") as write_others,
    ):
        for caption in audit.file.captions:
            if caption is None:
                audit.n_empty += 1
                continue
            reading = classify(caption)
            audit.counts[reading.category] += 1
            audit.words[reading.category].update(set(reading.words))
            for word, reason in reading.passed_over:
                audit.passed_over[reason][word] += 1
            notes = "; ".join(f"{word} ({reason})" for word, reason in reading.passed_over)
            write([caption, reading.category, " ".join(reading.words), notes])
            if audit.counterfactuals is not None and reading.category in GENDERED:
                swap, neutral = swap_gender(caption), neutralise(caption)
                write_others([caption, reading.category, swap or "", neutral or ""])
                audit.counterfactuals.update(
                    n=1, n_without_swap=int(not swap), n_without_neutral=int(not neutral)
                )
        if not len(audit):
            raise DataError(f"{path} holds no caption; needed at least one")
    return audit


@contextmanager
def _table(path: str | Path | None, *columns: str) -> Iterator[Callable[[Sequence[str]], object]]:
    """Write a CSV file row by row, whole or absent, with no cell that a spreadsheet runs."""
    if path is None:
        yield lambda row: None
        return
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise OptionError(f"{path.name} would be a table; needed a name that ends in .csv")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield lambda row: writer.writerow([harmless(cell) for cell in row])


def _first(words: Counter[str], n: int) -> dict[str, int]:
    """The most frequent first, equal ones in alphabetical order."""
    return dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:n])


def _shown(words: Counter[str]) -> str:
    first = [f"{word} {n:,}" for word, n in _first(words, _SHOWN).items()]
    return ", ".join(first + ["..."] * (len(words) > _SHOWN))
