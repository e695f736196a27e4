"""Values of an attribute: numbered, renamed, and refused if two are spellings of one."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from probe.arrays import Counts
from probe.errors import DataError
from probe.images.missing_labels import MISSING, missing_reason
from probe.io.lines import nearest

MAX_VALUES = 20
"""A column of more values is taken for a description, not for an attribute."""

_RARE = 0.02  # a value with a smaller share of the images is pointed out
_SAME = dict.fromkeys(("women", "females", "female", "f"), "woman")
_SAME |= dict.fromkeys(("men", "males", "male", "m"), "man")


class Values:
    """Numbers the values of an attribute; ``-1 - i`` is reason i for having none."""

    def __init__(
        self,
        path: Path,
        name: str,
        values: Sequence[str] | None,
        *,
        renamed: Mapping[str, str],
        is_certain: bool,
    ) -> None:
        self.known = {value: code for code, value in enumerate(values or ())}
        self.codes = array("i")
        self.used: set[str] = set()
        """Labels that were renamed."""
        self._path, self._name, self._renamed = path, name, renamed
        self._is_closed, self._is_certain = values is not None, is_certain

    def add(self, label: str, place: str) -> bool:
        """Keep a label; False if the column has proved to be no attribute."""
        if label in self._renamed:
            self.used.add(label)
            label = self._renamed[label]
        code = self.known.get(label)
        if code is None and (reason := missing_reason(label)) is not None:
            code = -1 - MISSING.index(reason)
        if code is None:
            if self._is_closed:
                raise DataError(
                    f"{self._path}, {place}: {self._name} is {label!r}"
                    f"{nearest(label, self.known)}; needed one of {', '.join(self.known)}, or "
                    "nothing if none is seen; --map renames a value"
                )
            if len(self.known) >= MAX_VALUES and not self._is_certain:
                return False
            code = self.known.setdefault(label, len(self.known))
        self.codes.append(code)
        return True

    def check(self, weights: Counts | None) -> list[str]:
        """Refuse two spellings of one value; return a note on each rare value."""
        if self._is_closed:
            return []
        codes = np.frombuffer(self.codes, dtype=np.int32)
        images = np.bincount(codes[codes >= 0], None if weights is None else weights[codes >= 0])
        found = dict(zip(self.known, images.astype(int).tolist(), strict=False))
        alike: dict[str, str] = {}
        for value in sorted(found, key=lambda value: -found[value]):
            if (other := alike.setdefault(_spelling(value), value)) != value:
                raise DataError(
                    f"{self._path}: {self._name} is {other!r} in {found[other]} images and "
                    f"{value!r} in {found[value]}, which look like one value; count them as one "
                    f"with --map {value}={other}, or apart with --values {','.join(found)}"
                )
        total = sum(found.values())
        return [
            f"{self._name} is {value!r} in only {n} of {total} images, and is counted as a value "
            f"of its own; --map {value}=ANOTHER counts it as another"
            for value, n in found.items()
            if 0 < n < _RARE * total
        ]


def _spelling(value: str) -> str:
    """What spellings of one value have in common: letter case, plural, or the word for a gender."""
    folded = value.casefold().replace("_", " ").replace("-", " ").strip()
    folded = _SAME.get(folded, folded)
    return folded.removesuffix("s") if len(folded) > 3 else folded
