"""What a sweep varies: settings with their values, and every combination of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any
from urllib.parse import quote

from probe.errors import OptionError
from probe.io.settings import parse_value
from probe.run.registry import settings_tables

SWEPT = ("train", "generate")
"""Stages whose settings can be swept: what is before them is the run's own, what is after them
measures."""


@dataclass(frozen=True)
class Axis:
    """One setting and the values it takes."""

    stage: str
    name: str
    values: tuple[Any, ...]

    @property
    def label(self) -> str:
        """``stage.name``."""
        return f"{self.stage}.{self.name}"


@dataclass(frozen=True)
class Variant:
    """One combination of values."""

    settings: Mapping[str, Any]
    """``stage.name`` to value, in the order of the axes."""

    @property
    def name(self) -> str:
        """Folder of the variant: it can hold any value and never leaves the sweep's folder."""
        parts = (f"{label.split('.')[1]}={_text(value)}" for label, value in self.settings.items())
        return ",".join(quote(part, safe="=<>+ ") for part in parts)

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The settings by stage."""
        tables: dict[str, dict[str, Any]] = {}
        for label, value in self.settings.items():
            stage, name = label.split(".")
            tables.setdefault(stage, {})[name] = value
        return tables


def parse_axis(text: str) -> Axis:
    """Read ``stage.setting=value,value,...``; values are of the setting's type.

    Raises
    ------
    ValueError
        If the text is not of this form, there is no such setting, a value is of another type, or
        a value is given twice.
    """
    found = re.fullmatch(r"(\w+)\.(\w+)=(.+)", text, flags=re.DOTALL)
    if found is None:
        raise OptionError(f"{text!r} is no axis; needed one like train.width=8,16,32")
    stage, name, listed = found.groups()
    if stage not in SWEPT:
        raise OptionError(f"settings of {stage} cannot be swept; needed one of {', '.join(SWEPT)}")
    known = {item.name: item for item in fields(settings_tables()[stage])}
    if name not in known:
        raise OptionError(f"{stage} has no setting {name!r}; known are {', '.join(known)}")
    values = tuple(parse_value(known[name], each.strip()) for each in listed.split(","))
    if len(set(values)) < len(values):
        raise OptionError(f"{stage}.{name} takes a value twice in {listed!r}; name each once")
    return Axis(stage, name, values)


def variants_of(axes: Sequence[Axis]) -> list[Variant]:
    """Combine every value of every axis, the last axis running fastest.

    Raises
    ------
    ValueError
        If there is no axis, or two are of the same setting.
    """
    labels = [axis.label for axis in axes]
    if not axes or len(set(labels)) < len(labels):
        raise OptionError(f"axes are {labels}; needed at least one, each setting once")
    return [
        Variant(dict(zip(labels, values, strict=True)))
        for values in product(*(axis.values for axis in axes))
    ]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
