"""What an audit counts: images by subject and perceived value, and those without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from probe.arrays import Codes, Counts
from probe.errors import DataError, DegenerateDataError
from probe.images.missing_labels import MISSING


@dataclass(frozen=True, eq=False)
class CountTable:
    """Images by subject and perceived value of one attribute."""

    source: str
    """Name of what was counted."""
    attribute: str
    subjects: list[str]
    values: list[str]
    """All values of the attribute, also those that never occur; at least 2."""
    counts: Counts
    """Shape (n_subjects, n_values)."""
    missing: Mapping[str, Counts]
    """By reason, one of `MISSING`: images without a value, shape (n_subjects,)."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know, a sentence each."""

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise DegenerateDataError(
                f"{self.source}: {self.attribute} has the single value {self.values!r}; needed at "
                "least 2: name all of them with --values, also those that never occur"
            )
        if not self.subjects or not int(self.counts.sum()):
            raise DegenerateDataError(
                f"{self.source}: {self.attribute} was seen in no image; needed at least 1"
            )

    @property
    def n_missing(self) -> Counts:
        """Images of each subject in which no value was seen, shape (n_subjects,)."""
        nothing: Counts = np.zeros(len(self.subjects), dtype=np.int64)
        return sum(self.missing.values(), start=nothing)

    def with_images(self) -> CountTable:
        """Leave out the subjects in whose images nothing was seen, and say which."""
        is_seen = self.counts.sum(axis=1) > 0
        if is_seen.all():
            return self
        gone = [
            f"{name} ({n} images)"
            for name, n, seen in zip(self.subjects, self.n_missing, is_seen, strict=True)
            if not seen
        ]
        text = f"left out, because no image of theirs shows a value: {', '.join(gone[:5])}"
        text += f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        return replace(self.rows(np.flatnonzero(is_seen)), notes=(*self.notes, text))

    def rows(self, order: Codes) -> CountTable:
        """The same of some subjects, in the order of their row numbers."""
        return replace(
            self,
            subjects=[self.subjects[row] for row in order],
            counts=self.counts[order],
            missing={reason: found[order] for reason, found in self.missing.items()},
        )


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A row an image, or several: subject, and the value of each attribute that is perceived."""

    source: str
    subjects: list[str]
    """Distinct, in the order of their first image."""
    rows: Codes
    """Position of each image's subject in ``subjects``, shape (n_images,)."""
    values: Mapping[str, list[str]]
    """Values of each attribute."""
    codes: Mapping[str, Codes]
    """Position of each image's value, or ``-1 - i`` for reason i of `MISSING`."""
    seeds: list[str] | None = None
    """Seed of each image, where it is known; equal seeds make images of two sources a pair."""
    notes: tuple[str, ...] = ()
    weights: Counts | None = None
    """Images that each row stands for, shape (n_rows,); one each if None."""
    groups: Sequence[str] | None = None
    """Name of each row's group, where there are several."""
    files: Sequence[str] | None = None
    """Name of each image's file, where it is known."""
    unused: frozenset[str] = frozenset()
    """Values to rename that do not occur."""

    def __len__(self) -> int:
        return len(self.rows)

    def noted(self, *notes: str) -> LabelTable:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def take(self, rows: Codes) -> LabelTable:
        """The same of some rows, and of the subjects that they have."""
        kept, codes = np.unique(self.rows[rows], return_inverse=True)
        return replace(
            self,
            subjects=[self.subjects[row] for row in kept],
            rows=codes,
            codes={name: of[rows] for name, of in self.codes.items()},
            seeds=self.seeds and [self.seeds[row] for row in rows],
            weights=None if self.weights is None else self.weights[rows],
            groups=self.groups and [self.groups[row] for row in rows],
            files=self.files and [self.files[row] for row in rows],
        )

    def split(self) -> dict[str, LabelTable]:
        """The rows of each group, in the order of the groups' first rows."""
        places: dict[str, list[int]] = {}
        for row, group in enumerate(self.groups or ()):
            places.setdefault(group, []).append(row)
        return {
            group: replace(self.take(np.array(rows)), groups=None, source=group)
            for group, rows in places.items()
        }

    def count_cells(self, attributes: Sequence[str]) -> Counts:
        """Count the images with a value of every attribute, shape (n_subjects, *n_values)."""
        codes = np.stack([self.codes[self._known(name)] for name in attributes])
        is_seen = (codes >= 0).all(axis=0)
        sizes = [len(self.values[name]) for name in attributes]
        counts = np.zeros((len(self.subjects), *sizes), dtype=np.int64)
        weights = 1 if self.weights is None else self.weights[is_seen]
        np.add.at(counts, (self.rows[is_seen], *codes[:, is_seen]), weights)
        return counts

    def count(self, attribute: str) -> CountTable:
        """Count one attribute; `DataError` if there is none of the name."""
        codes, n = self.codes[self._known(attribute)], len(self.subjects)
        missing = {}
        for place, reason in enumerate(MISSING):
            chosen = codes == -1 - place
            weights = None if self.weights is None else self.weights[chosen]
            found = np.bincount(self.rows[chosen], weights, minlength=n)
            missing[reason] = found.astype(np.int64)
        return CountTable(
            self.source,
            attribute,
            self.subjects,
            self.values[attribute],
            self.count_cells([attribute]),
            {reason: found for reason, found in missing.items() if found.any()},
            self.notes,
        )

    def _known(self, attribute: str) -> str:
        if attribute not in self.values:
            known = ", ".join(self.values)
            raise DataError(f"{self.source} has no attribute {attribute!r}; it has {known}")
        return attribute
