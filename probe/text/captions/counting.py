"""Counts of the people in a caption file: shares with intervals, and the words that decided."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probe.errors import DataError, OptionError
from probe.io.files import atomic, harmless
from probe.io.progress import NamedProgress
from probe.stats.interval import Interval
from probe.stats.proportion import proportion_interval
from probe.text.captions.classification import CATEGORIES, GENDERED, Category, classify
from probe.text.captions.counterfactuals import neutralise, swap_gender
from probe.text.captions.files import open_captions
from probe.text.captions.mentions import REASONS
from probe.text.captions.vocabulary import CaptionWords

COLUMNS = ("caption", "category", "words", "passed_over")
COUNTERFACTUAL_COLUMNS = ("caption", "category", "gender_swap", "neutral")

_STEP = 1000  # rows between two reports of progress
_SHOWN = 8  # words a line
_KEPT = 50  # words a category in JSON
_REASON_TEXTS = {
    "phrase": "of a phrase about nobody",
    "name": "of a name or title",
    "thing": "about a thing",
    "sense": "in another sense",
    "group": "a quantity",
    "animal": "of an animal",
}


@dataclass(frozen=True)
class CounterfactualCounts:
    """Numbers of captions with a gender, and of their counterfactuals."""

    n: int
    """Captions that say a gender, each a row of the table."""
    n_without_swap: int
    """Those of which a word has no counterpart of the other gender; their cell is empty."""
    n_without_neutral: int
    """Those of which a word has no neutral counterpart; their cell is empty."""


@dataclass(frozen=True, eq=False)
class CaptionAudit:
    """Categories of the captions of a file, and the words that decided."""

    source: str
    """Name of the file, without its folder."""
    column: str
    """Column of the captions; empty for a file without columns."""
    layout: str
    """Layout of the file; empty for a plain table or list."""
    place: str
    """The file with its layout or column, for messages."""
    counts: Mapping[Category, int]
    """Captions of each category."""
    words: Mapping[Category, Mapping[str, int]]
    """Per category, word that decided -> number of captions, the most frequent first."""
    passed_over: Mapping[str, Mapping[str, int]]
    """Reason -> word that did not count -> how often."""
    n_empty: int
    """Rows without a caption."""
    counterfactuals: CounterfactualCounts | None = None
    """Counts of the counterfactuals, if they were written."""

    def __len__(self) -> int:
        return sum(self.counts.values())

    def share(self, category: Category) -> Interval:
        """Share of a category among the captions, with its 95 % interval (exact).

        It holds for captions that were drawn one by one; of several captions of one picture, the
        true interval is wider.
        """
        return proportion_interval(np.arange(len(self)) < self.counts[category])

    def summary(self) -> str:
        """A line on the file, a line for each category, and a line for each reason."""
        lines = [
            f"{len(self):,} captions from {self.place}; {self.n_empty:,} rows without a caption"
        ]
        lines += [f"{'':<15}{'captions':>9}  {'share [95 % interval]':<23}words that decided"]
        for category in CATEGORIES:
            found = self.share(category)
            share = f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
            words = _shown(self.words[category])
            lines.append(f"{category:<15}{self.counts[category]:>9,}  {share:<23}{words}".rstrip())
        if any(self.passed_over.values()):
            lines.append("passed over, for the word is")
            lines += [
                f"  {_REASON_TEXTS[reason]:<34}{_shown(words)}"
                for reason, words in self.passed_over.items()
                if words
            ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Counts, shares and the most frequent words."""
        found: dict[str, Any] = {
            "source": self.source,
            "column": self.column,
            "layout": self.layout,
            "n": len(self),
            "n_empty": self.n_empty,
            "categories": {},
        }
        for category in CATEGORIES:
            share = self.share(category)
            found["categories"][category] = {
                "n": self.counts[category],
                "share": {"value": share.value, "low": share.low, "high": share.high},
                "words": dict(list(self.words[category].items())[:_KEPT]),
            }
        if self.counterfactuals is not None:
            found["counterfactual"] = asdict(self.counterfactuals)
        found["passed_over"] = {
            reason: dict(list(words.items())[:_KEPT]) for reason, words in self.passed_over.items()
        }
        return found


def audit_captions(
    path: str | Path,
    *,
    column: str | None = None,
    out: str | Path | None = None,
    counterfactuals: str | Path | None = None,
    words: CaptionWords | None = None,
    progress: NamedProgress | None = None,
) -> CaptionAudit:
    """Classify the captions of a file, in bounded memory.

    Parameters
    ----------
    path : path
        A list, a table, or a file of LAION, OpenImages, Flickr, COCO or WinoBias; see
        `open_captions`.
    column : str, optional
        Column that holds the captions; needed only if several could be meant.
    out : path, optional
        A ``.csv`` file to write, one row a caption: ``caption``, ``category``, ``words`` (that
        decided), ``passed_over`` (word and reason). A cell that a spreadsheet would take for a
        formula gets an apostrophe before it.
    counterfactuals : path, optional
        A ``.csv`` file to write, one row a caption that says a gender: ``caption``, ``category``,
        ``gender_swap`` (see `swap_gender`) and ``neutral`` (see `neutralise`).
    words : CaptionWords, optional
        The shipped ones if not given.
    progress : callable, optional
        Called with ("captions", done, total) of the rows.

    Raises
    ------
    DataError
        If the file cannot be read, a row is damaged, or there is no caption.
    ValueError
        If a file is of another kind.
    ArtifactError
        If a table cannot be written.
    """
    words = CaptionWords.load() if words is None else words
    file = open_captions(path, column=column)
    counts: Counter[Category] = Counter()
    deciding: dict[Category, Counter[str]] = {name: Counter() for name in CATEGORIES}
    passed_over: dict[str, Counter[str]] = {reason: Counter() for reason in REASONS}
    n_empty = n_gendered = n_without_swap = n_without_neutral = 0
    with ExitStack() as stack:
        write = _open_table(stack, out, COLUMNS)
        write_counterfactuals = _open_table(stack, counterfactuals, COUNTERFACTUAL_COLUMNS)
        for done, caption in enumerate(file.captions):
            if progress is not None and done % _STEP == 0:
                progress("captions", done, file.n_rows)
            if caption is None:
                n_empty += 1
                continue
            reading = classify(caption, words)
            counts[reading.category] += 1
            deciding[reading.category].update(set(reading.words))
            for word, reason in reading.passed_over:
                passed_over[reason][word] += 1
            if write is not None:
                notes = "; ".join(f"{word} ({reason})" for word, reason in reading.passed_over)
                write([caption, reading.category, " ".join(reading.words), notes])
            if write_counterfactuals is not None and reading.category in GENDERED:
                swap, neutral = swap_gender(caption, words), neutralise(caption, words)
                write_counterfactuals([caption, reading.category, swap or "", neutral or ""])
                n_gendered += 1
                n_without_swap += not swap
                n_without_neutral += not neutral
        if not counts:
            raise DataError(f"{path} holds no caption; needed at least one")
    return CaptionAudit(
        source=file.path.name,
        column=file.column,
        layout=file.layout,
        place=file.place(),
        counts={name: counts[name] for name in CATEGORIES},
        words={name: _ranked(found) for name, found in deciding.items()},
        passed_over={reason: _ranked(found) for reason, found in passed_over.items()},
        n_empty=n_empty,
        counterfactuals=CounterfactualCounts(n_gendered, n_without_swap, n_without_neutral)
        if counterfactuals is not None
        else None,
    )


def _open_table(
    stack: ExitStack, path: str | Path | None, columns: Sequence[str]
) -> Callable[[Sequence[str]], object] | None:
    return None if path is None else stack.enter_context(_table(Path(path), columns))


@contextmanager
def _table(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[str]], object]]:
    """Write a CSV file row by row, whole or absent, with no cell that a spreadsheet runs."""
    if path.suffix.lower() != ".csv":
        raise OptionError(f"{path.name} would be a table; needed a name that ends in .csv")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        yield lambda row: writer.writerow([harmless(cell) for cell in row])


def _ranked(words: Counter[str]) -> dict[str, int]:
    """The most frequent first, equal ones in alphabetical order."""
    return dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))


def _shown(words: Mapping[str, int]) -> str:
    first = [f"{word} {n:,}" for word, n in list(words.items())[:_SHOWN]]
    return ", ".join(first + ["..."] * (len(words) > _SHOWN))
