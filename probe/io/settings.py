"""Settings: frozen dataclasses whose fields carry help, bounds and choices.

`config.toml`, the options of the command line and their checks are derived from the fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any

from probe.errors import OptionError

PRECISIONS = ("fp32", "bf16", "fp16")
"""Of arithmetic in a training."""
DTYPES = ("auto", "float32", "float16", "bfloat16")
"""Of the weights of an image model."""
OFFLOADS = ("none", "model", "sequential")
"""Which of its weights wait in the CPU's memory."""


def setting(
    default: Any,
    about: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    alone: str | None = None,
    names_file: Callable[[str], bool] | None = None,
    is_later: bool = False,
) -> Any:
    """Make a field of a dataclass of settings.

    Parameters
    ----------
    default : bool, int, float or str
        Its type is the type of the setting.
    about : str
        Help, for the settings file and the command line.
    minimum, maximum : float, optional
        Smallest and largest value that is allowed. A float must be finite in any case.
    choices : sequence of str, optional
        The values that are allowed.
    alone : str, optional
        Value of the option on the command line when it is given without one.
    names_file : callable, optional
        Whether a value names a file; the file is then copied into the run folder.
    is_later : bool
        Whether its default is not hashed, so that runs made before the setting existed stay valid.
    """
    metadata = {"help": about, "minimum": minimum, "maximum": maximum, "is_later": is_later}
    other = {"choices": tuple(choices), "alone": alone, "names_file": names_file}
    return field(default=default, metadata={**metadata, **other})


def file_settings(settings: Settings) -> dict[str, str]:
    """Return the settings that name a file, with their values."""
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}
    tests = {item.name: item.metadata.get("names_file") for item in fields(settings)}
    return {name: value for name, value in values.items() if (of := tests[name]) and of(value)}


def seed_setting(about: str) -> Any:
    """Make a field that holds the seed of random numbers."""
    return setting(0, about, minimum=0, maximum=2**32 - 1)


@dataclass(frozen=True)
class Settings:
    """Base of all dataclasses of settings: refuses values outside their bounds.

    Raises
    ------
    OptionError
        If a value is out of bounds or not among the choices; the message names the setting.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            check_value(item, getattr(self, item.name))

    @classmethod
    def completed(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what given values imply for other settings."""
        return values


def check_value(item: Field[Any], value: Any) -> None:
    """Refuse a value outside the bounds or the choices of its setting."""
    bounds = item.metadata
    if choices := bounds.get("choices"):
        one_of(item.name, value, choices)
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"{item.name} is {value}; needed a finite number")
    needed = []
    if (minimum := bounds.get("minimum")) is not None and value < minimum:
        needed.append(f"at least {minimum:g}")
    if (maximum := bounds.get("maximum")) is not None and value > maximum:
        needed.append(f"at most {maximum:g}")
    if needed:
        raise OptionError(f"{item.name} is {value}; needed {needed[0]}")


def typed_settings(kind: type[Settings], table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check names and types of values of settings; an int may be a float, and a number text."""
    known = {item.name: type(item.default) for item in fields(kind)}
    typed = {}
    for name, value in values.items():
        if name not in known:
            raise OptionError(f"{table} has no setting {name!r}; known are {', '.join(known)}")
        expected = known[name]
        if expected is float and type(value) is int:
            value = float(value)
        if expected is str and type(value) in (int, float):
            value = str(value)
        if type(value) is not expected:
            raise OptionError(f"{name} is {value!r}; needed a value of type {expected.__name__}")
        typed[name] = value
    return typed


def parse_value(item: Field[Any], text: str) -> Any:
    """Read a value of a setting from text, and check its type and bounds."""
    kind: type[Any] = type(item.default)
    try:
        value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise OptionError(
            f"{item.name} is {text!r}; needed a value of type {kind.__name__}"
        ) from None
    check_value(item, value)
    return value


def settings_line(settings: Any, *, without: tuple[str, ...] = ()) -> str:
    """Write every setting in one line, to be hashed into what is made with them."""
    later = {of.name: of.default for of in fields(settings) if of.metadata.get("is_later")}
    return ", ".join(
        f"{name}={value!r}"
        for name, value in asdict(settings).items()
        if name not in without and later.get(name) != value
    )


def at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below ``least``, infinity and NaN."""
    if not value >= least or value == float("inf"):
        raise OptionError(f"{name} is {value}; needed at least {least}")


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is not among those allowed."""
    if value not in allowed:
        raise OptionError(f"{name} is {value!r}; needed one of {', '.join(allowed)}")
