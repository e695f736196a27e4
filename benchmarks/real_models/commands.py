"""Lines of the page, and the commands that make them."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.main import main

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Line:
    """One measured figure with its interval, or the name of what was not there to measure."""

    part: str
    about: str
    """What was measured: a model and setting, an encoder, a file of vectors."""
    figure: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = ""
    """Unit of observation of the interval, counted by ``n``."""
    known: str = ""
    """The figure as others published it, or its noise floor."""
    source: str = ""
    command: str = ""

    @classmethod
    def of(cls, part: str, about: str, figure: str, found: Mapping[str, Any], **more: Any) -> Line:
        """Make a line of a figure of the JSON output, which has ``value, low, high``."""
        value = found["r"] if "r" in found else found["value"]
        limits = {name: found[name] for name in ("low", "high")}
        about_it = {name: found[name] for name in ("n", "unit") if name in found}
        return cls(part, about, figure, value=value, **limits, **about_it | more)

    @classmethod
    def missing(cls, part: str, about: str, needed: str) -> Line:
        """Name what was left out, and what it needs."""
        return cls(part, about, "left out", source=f"needs {needed}")


def ask(*arguments: object) -> tuple[dict[str, Any], str]:
    """Run a command of the toolkit; returns its JSON output, and the command as one types it."""
    texts = [str(argument) for argument in arguments]
    with redirect_stdout(io.StringIO()) as out:
        main([*texts, "--json"], standalone_mode=False)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found, f"moesd-probe {shlex.join(map(shown, arguments))}"


def shown(argument: object) -> str:
    """Write a path as seen from the repository; outside of it and its data, its name."""
    if not isinstance(argument, Path):
        return str(argument)
    path = os.path.relpath(argument, ROOT)
    is_near = not path.startswith("..") or path.startswith(os.path.relpath(DATA, ROOT))
    return path if is_near else argument.name
