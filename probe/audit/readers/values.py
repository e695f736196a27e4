"""Values of an attribute: numbered, renamed, and refused if two are spellings of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from probe.arrays import Codes, Counts
from probe.errors import DataError
from probe.images.missing_labels import MISSING, missing_reason
from probe.io.lines import nearest
from probe.stats.notation import counted

MAX_VALUES = 20
"""A column of more values is taken for a description, not for an attribute."""

_RARE = 0.02  # a value with a smaller share of the images is pointed out
_SAME = dict.fromkeys(("women", "females", "female", "f"), "woman")
_SAME |= dict.fromkeys(("men", "males", "male", "m"), "man")


def number_values(
    path: Path, labels: pd.Series, values: Sequence[str] | None, renamed: Mapping[str, str]
) -> tuple[list[str], Codes]:
    """Number the values of an attribute; code ``-1 - i`` is reason i for having none.

    Where ``values`` are given, any other label is refused.
    """
    labels = labels.map(lambda label: renamed.get(label, label))
    known = list(values or ())
    codes = {value: code for code, value in enumerate(known)}
    for place, label in labels.drop_duplicates().items():
        if label in codes:
            continue
        if (reason := missing_reason(label)) is not None:
            codes[label] = -1 - MISSING.index(reason)
        elif values is None:
            codes[label] = len(known)
            known.append(label)
        else:
            raise DataError(
                f"{path}, {place}: {labels.name} is {label!r}{nearest(label, known)}; needed one "
                f"of {', '.join(known)}, or nothing if none is seen; --map renames a value"
            )
    return known, labels.map(codes).to_numpy(dtype=np.int32)


def check_spellings(
    path: Path, name: str, known: Sequence[str], codes: Codes, weights: Counts | None
) -> list[str]:
    """Refuse two spellings of one value; return a note on each rare value."""
    is_seen = codes >= 0
    images = np.bincount(
        codes[is_seen], None if weights is None else weights[is_seen], minlength=len(known)
    )
    found = dict(zip(known, images.astype(int).tolist(), strict=True))
    alike: dict[str, str] = {}
    for value in sorted(found, key=lambda value: -found[value]):
        if (other := alike.setdefault(_spelling(value), value)) != value:
            raise DataError(
                f"{path}: {name} is {other!r} in {found[other]} images and {value!r} in "
                f"{found[value]}, which look like one value; count them as one with --map "
                f"{value}={other}, or apart with --values {','.join(found)}"
            )
    total = sum(found.values())
    return [
        f"{name} is {value!r} in only {n} of {total} images, and is counted as a value of its own; "
        f"--map {value}=ANOTHER counts it as another"
        for value, n in found.items()
        if 0 < n < _RARE * total
    ]


def note_missing(
    labels: pd.Series, renamed: Mapping[str, str], weights: Counts | None
) -> list[str]:
    """Say which words count as no value, but for those that are the name of a reason."""
    rows = pd.DataFrame({"word": labels, "n": 1 if weights is None else weights})
    images = rows[~labels.isin(["", *MISSING, *renamed])].groupby("word")["n"].sum()
    return [
        f"{labels.name} is {word!r} in {counted(n, 'images')}, which counts as {reason}; "
        f"--map {word}=VALUE makes it a value"
        for word, n in images.items()
        if n and (reason := missing_reason(word)) is not None
    ]


def _spelling(value: str) -> str:
    """What spellings of one value have in common: letter case, plural, or the word for a gender."""
    folded = value.casefold().replace("_", " ").replace("-", " ").strip()
    folded = _SAME.get(folded, folded)
    return folded.removesuffix("s") if len(folded) > 3 else folded
