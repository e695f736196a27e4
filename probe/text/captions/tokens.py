"""What of a caption is read: its words, without those that it quotes."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
"""Letters, with hyphens and apostrophes within: "man-made" is one word and none about a man."""

_OPEN, _CLOSE, _OPEN_ONE, _CLOSE_ONE = "\u201c", "\u201d", "\u2018", "\u2019"
_QUOTED = re.compile(
    rf'"[^"]{{1,80}}"|{_OPEN}[^{_CLOSE}]{{1,80}}{_CLOSE}|{_OPEN_ONE}[^{_CLOSE_ONE}]{{1,80}}{_CLOSE_ONE}'
)


def words_of(caption: str) -> list[str]:
    """Split a caption into its words, in the case they stand in.

    What stands in double (or curly) quotation marks is said or written in the picture, and is left
    out, unless nothing else is there. An apostrophe is always ``'``.
    """
    if '"' in caption or _OPEN in caption or _OPEN_ONE in caption:
        rest = _QUOTED.sub(" . ", caption)
        if WORD.search(rest):
            caption = rest
    return WORD.findall(caption.replace(_CLOSE_ONE, "'"))
