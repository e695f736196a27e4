"""What of a caption is read: its words, without those that it quotes."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
"""Letters, with hyphens and apostrophes within: "man-made" is one word and none about a man."""

APOSTROPHES = ("'", "\u2019")

_OPEN, _CLOSE, _CLOSE_ONE = "\u201c", "\u201d", "\u2019"
_QUOTED = re.compile(rf'"[^"]{{1,80}}"|{_OPEN}[^{_CLOSE}]{{1,80}}{_CLOSE}')


def spans_of(caption: str) -> list[tuple[int, int]]:
    """Find where each word of a caption begins and ends.

    What stands in double (or curly) quotation marks is said or written in the picture, and is left
    out, unless nothing else is there.
    """
    return [match.span() for match in WORD.finditer(_readable(caption))]


def words_of(caption: str) -> list[str]:
    """Split a caption into its words as they are written; an apostrophe is always ``'``."""
    return WORD.findall(_readable(caption))


def _readable(caption: str) -> str:
    """The same text, letter by letter, with blanks in place of what it quotes."""
    text = caption.replace(_CLOSE_ONE, "'")
    if '"' in text or _OPEN in text:
        rest = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
        return rest if WORD.search(rest) else text
    return text
