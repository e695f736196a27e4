"""Text of files as it is shown: without control codes, and without formulas of spreadsheets."""

import re

_UNPRINTABLE = re.compile(
    r"[^\n\t -~\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def printable(text: str) -> str:
    """Escape control characters, but for line breaks and tabs, and turns of direction, as JSON."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless(text: str) -> str:
    """Keep a text from being run as a formula where a spreadsheet opens it.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, also after
    spaces, gets an apostrophe before it, which marks text in a spreadsheet. Do not pass numbers.

    References
    ----------
    OWASP, *CSV Injection*.
    """
    return f"'{text}" if text.lstrip(" ")[:1] in tuple("=+-@\t\r") else text
