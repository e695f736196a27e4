"""Markdown templates in which nothing that came with the data is markup."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from figures.text.evaluation import rate, sizes
from probe.stats.notation import interval, number, p_value

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKUP = re.compile(r"([\\`*_\[\]|~#])")


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""


def plain(text: str) -> str:
    """Escape text on one line, so that it is neither Markdown, nor HTML, nor a table's edge."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def render(name: str, /, **values: Any) -> Markdown:
    """Fill a template of this package; all text is escaped unless it is `Markdown`."""
    return Markdown(_environment().get_template(name).render(**values))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("figures.cards"),
        finalize=lambda value: value if isinstance(value, Markdown) else plain(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (interval, number, p_value, rate):
        environment.filters[write.__name__] = _markdown(write)
    environment.filters |= {"sizes": sizes, "code": Markdown}
    return environment


def _markdown(write: Callable[..., str]) -> Callable[..., Markdown]:
    return lambda *args, **options: Markdown(write(*args, **options))
