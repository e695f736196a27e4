"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (how much is done, how much there is)."""

NamedProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""
