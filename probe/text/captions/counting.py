"""Who is in the captions of a file: counts, shares with intervals, and the words that decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probe.errors import DataError
from probe.io.progress import NamedProgress
from probe.stats.interval import Interval
from probe.stats.proportion import proportion_interval
from probe.text.captions.cells import Writer, safe_table
from probe.text.captions.classification import (
    CATEGORIES,
    GENDERED,
    CaptionReading,
    Category,
    classify,
)
from probe.text.captions.counterfactuals import neutralise, swap_gender
from probe.text.captions.files import CaptionFile, open_captions
from probe.text.captions.mentions import REASONS
from probe.text.captions.vocabulary import CaptionWords

COLUMNS = ("caption", "category", "words", "passed_over")
COUNTERFACTUAL_COLUMNS = ("caption", "category", "gender_swap", "neutral")

_STEP = 1000
_SHOWN = 8  # words a line
_KEPT = 50  # words a category in JSON


@dataclass(frozen=True)
class CounterfactualCounts:
    """How many captions that say a gender have counterfactuals."""

    n: int
    """Captions that say a gender, each a row of the table."""
    n_without_swap: int
    """Those of which a word has no counterpart of the other gender; their cell is empty."""
    n_without_neutral: int
    """Those of which a word has no neutral counterpart; their cell is empty."""


@dataclass(frozen=True, eq=False)
class CaptionAudit:
    """What the captions of a file say of the people in their pictures."""

    source: str
    """Name of the file, without its folder."""
    column: str
    """The column that the captions were taken from; empty if there was none to choose."""
    layout: str
    """Whose layout the file has; empty for a plain table or list."""
    place: str
    """Where the captions are from, in words."""
    counts: Mapping[Category, int]
    """Captions of each category."""
    words: Mapping[Category, Mapping[str, int]]
    """Word that decided -> captions of the category that it stands in, the most frequent first."""
    passed_over: Mapping[str, Mapping[str, int]]
    """Reason -> word that was passed over -> how often."""
    n_empty: int
    """Rows that hold no caption."""
    counterfactuals: CounterfactualCounts | None = None
    """What was written of counterfactuals, if it was asked for."""

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
                f"  {_SAID[reason]:<34}{_shown(words)}"
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


_SAID = {
    "phrase": "of a phrase about nobody",
    "name": "of a name or title",
    "thing": "about a thing",
    "sense": "in another sense",
    "group": "a quantity",
    "animal": "of an animal",
}


def audit_captions(
    path: str | Path,
    *,
    column: str | None = None,
    out: str | Path | None = None,
    counterfactuals: str | Path | None = None,
    words: CaptionWords | None = None,
    progress: NamedProgress | None = None,
) -> CaptionAudit:
    """Classify the captions of a file, in memory that does not grow with it.

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
    tally = _Tally()
    with ExitStack() as stack:
        table = _open(stack, out, COLUMNS)
        counterfactual_table = _open(stack, counterfactuals, COUNTERFACTUAL_COLUMNS)
        for caption in _reporting(file, progress):
            if caption is None:
                tally.n_empty += 1
                continue
            reading = classify(caption, words)
            tally.add(reading)
            if table is not None:
                _write(table, caption, reading)
            if counterfactual_table is not None and reading.category in GENDERED:
                tally.add_counterfactuals(
                    _write_counterfactuals(counterfactual_table, caption, reading, words)
                )
        if not tally.counts:
            raise DataError(f"{path} holds no caption; needed at least one")
    return tally.audit(file, has_counterfactuals=counterfactuals is not None)


class _Tally:
    """Counts that grow caption by caption."""

    def __init__(self) -> None:
        self.counts: Counter[Category] = Counter()
        self.words: dict[Category, Counter[str]] = {name: Counter() for name in CATEGORIES}
        self.passed_over: dict[str, Counter[str]] = {reason: Counter() for reason in REASONS}
        self.n_empty = 0
        self.counterfactuals = [0, 0, 0]

    def add(self, reading: CaptionReading) -> None:
        self.counts[reading.category] += 1
        if reading.words:
            self.words[reading.category].update(set(reading.words))
        for word, reason in reading.passed_over:
            self.passed_over[reason][word] += 1

    def add_counterfactuals(self, counterfactuals: tuple[str | None, str | None]) -> None:
        swap, neutral = counterfactuals
        self.counterfactuals = [
            n + is_so
            for n, is_so in zip(self.counterfactuals, (1, not swap, not neutral), strict=True)
        ]

    def audit(self, file: CaptionFile, *, has_counterfactuals: bool) -> CaptionAudit:
        return CaptionAudit(
            source=file.path.name,
            column=file.column,
            layout=file.layout,
            place=file.place(),
            counts={name: self.counts[name] for name in CATEGORIES},
            words={name: _ranked(words) for name, words in self.words.items()},
            passed_over={reason: _ranked(words) for reason, words in self.passed_over.items()},
            n_empty=self.n_empty,
            counterfactuals=CounterfactualCounts(*self.counterfactuals)
            if has_counterfactuals
            else None,
        )


def _reporting(file: CaptionFile, progress: NamedProgress | None) -> Iterator[str | None]:
    for done, caption in enumerate(file.captions):
        if progress is not None and done % _STEP == 0:
            progress("captions", done, file.n_rows)
        yield caption


def _open(stack: ExitStack, path: str | Path | None, columns: tuple[str, ...]) -> Writer | None:
    return None if path is None else stack.enter_context(safe_table(Path(path), columns))


def _write_counterfactuals(
    table: Writer, caption: str, reading: CaptionReading, words: CaptionWords
) -> tuple[str | None, str | None]:
    swap, neutral = swap_gender(caption, words), neutralise(caption, words)
    table.writerow([caption, reading.category, swap or "", neutral or ""])
    return swap, neutral


def _write(table: Writer, caption: str, reading: CaptionReading) -> None:
    passed_over = "; ".join(f"{word} ({reason})" for word, reason in reading.passed_over)
    table.writerow([caption, reading.category, " ".join(reading.words), passed_over])


def _ranked(words: Counter[str]) -> dict[str, int]:
    """The most frequent first, equal ones in alphabetical order."""
    return dict(sorted(words.items(), key=lambda item: (-item[1], item[0])))


def _shown(words: Mapping[str, int]) -> str:
    first = [f"{word} {n:,}" for word, n in list(words.items())[:_SHOWN]]
    return ", ".join(first + ["..."] * (len(words) > _SHOWN))
