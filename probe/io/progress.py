"""Types of callbacks that report progress."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total)."""

NamedProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (task, done, total)."""
