"""What every dataclass of settings needs: a described field, and checks that name the setting."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from probe.errors import OptionError


def setting(default: Any, about: str, *, alone: str | None = None) -> Any:
    """Make a field whose description serves the settings file and the command line alike.

    ``alone`` is the value that its option has on the command line when none is given with it.
    """
    return field(default=default, metadata={"help": about, "alone": alone})


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below ``least``, an infinite one, and one that is none."""
    if not value >= least or value == float("inf"):
        raise OptionError(f"{name} is {value}; needed at least {least}")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not among those allowed."""
    if value not in allowed:
        raise OptionError(f"{name} is {value!r}; needed one of {', '.join(allowed)}")
