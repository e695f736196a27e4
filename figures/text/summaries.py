"""What a stage found, in words for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from figures.text.comparison import methods_table
from figures.text.evaluation import evaluation_table
from probe.run.registry import Result

_SUMMARIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "evaluate": evaluation_table,
    "compare methods": methods_table,
}
"""By stage, how its JSON is summarised; other results summarise themselves."""


def summary_of(stage: str, result: Result) -> str:
    """Summarise the result of a stage, in one line or several."""
    write = _SUMMARIES.get(stage)
    return result.summary() if write is None else write(result.to_json())
