"""Text and tables as Markdown in which nothing that came with the data is markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_\[\]|~#])")


def plain(text: str) -> str:
    """Escape text on one line, so that it is neither Markdown, nor HTML, nor a table's edge."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table; the cells are Markdown already."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def bullets(items: Iterable[str]) -> str:
    """Lay out a list; the items are Markdown already."""
    return "\n".join(f"- {item}" for item in items)
