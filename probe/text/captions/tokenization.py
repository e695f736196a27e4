"""The words of a caption, without those in quotation marks."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
"""Letters, with hyphens and apostrophes inside: "man-made" is one word."""

APOSTROPHES = ("'", "\u2019")

_OPEN, _CLOSE, _CLOSE_ONE = "\u201c", "\u201d", "\u2019"
_QUOTED = re.compile(rf'"[^"]{{1,80}}"|{_OPEN}[^{_CLOSE}]{{1,80}}{_CLOSE}')


def spans_of(caption: str) -> list[tuple[int, int]]:
    """Start and end of each word of a caption.

    Words in double (or curly) quotation marks are spoken or written in the picture; they are left
    out, unless the caption has no others.
    """
    return [match.span() for match in WORD.finditer(_readable(caption))]


def words_of(caption: str) -> list[str]:
    """Words of a caption, as written; every apostrophe is ``'``."""
    return WORD.findall(_readable(caption))


def _readable(caption: str) -> str:
    """A text of the same length, with blanks in place of quotations."""
    text = caption.replace(_CLOSE_ONE, "'")
    if '"' in text or _OPEN in text:
        rest = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
        return rest if WORD.search(rest) else text
    return text
