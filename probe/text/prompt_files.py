"""Prompts of a user: one a line, or a column of a table whose other columns are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import DataError, OptionError
from probe.io.records import SUFFIXES, Records
from probe.text.prompts import COLUMNS, PromptSet, check_prompt

if TYPE_CHECKING:
    import pandas as pd

PROMPT_NAMES = ("prompt", "prompts", "text", "texts", "caption", "captions", "sentence")
"""Usual names of a column of prompts."""

_RENAMED = "prompt_in_file"


@dataclass(frozen=True, eq=False)
class PromptFile:
    """The distinct prompts of a file, with the file's other columns."""

    table: pd.DataFrame
    """Column ``prompt``, then the other columns of the file; an attribute that is called
    ``prompt`` without being the prompts is renamed ``prompt_in_file``."""
    column: str
    """Column of the prompts; empty for a plain list."""
    summary: str
    """One line: number of prompts, source, and rows left out."""

    def __len__(self) -> int:
        return len(self.table)

    @property
    def prompts(self) -> list[str]:
        """The prompts, in the order of the file."""
        return [str(prompt) for prompt in self.table["prompt"]]

    def prompt_set(self) -> PromptSet:
        """Convert to a prompt set of group ``"given"``.

        A column with the name of another column of a prompt set is renamed ``NAME_in_file``.
        """
        table = self.table.rename(columns={name: f"{name}_in_file" for name in COLUMNS[1:]})
        given = {"template": "", "pair": -1, "split": "", "template_split": ""}
        given |= {"group": "given", "share_women": float("nan")}
        return PromptSet(table.assign(subject=table["prompt"], **given))


def read_prompts(path: str | Path, *, column: str | None = None) -> PromptFile:
    """Read prompts from a list or a table (``docs/files.md``); `DataError` names a damaged row.

    The column of the prompts is, by default, the only one with a usual name (see `PROMPT_NAMES`),
    else the only one of text. A column of numbers becomes numeric.
    """
    import pandas as pd

    path = Path(path)
    check_column(path, column, what="prompts")
    found = Records.read(path)
    index = found.column(column, known=PROMPT_NAMES, what="the prompts")
    rows: dict[str, Sequence[Any]] = {}
    n_empty = n_duplicates = 0
    for place, values in found.rows:
        prompt = checked_prompt(values[index], path, place)
        if prompt is None:
            n_empty += 1
        elif prompt in rows:
            n_duplicates += 1
        else:
            rows[prompt] = values
    if not rows:
        raise DataError(f"{path} holds no prompt; needed at least one")
    attributes = {
        _RENAMED if name == "prompt" else name: _typed([values[i] for values in rows.values()])
        for i, name in enumerate(found.columns)
        if i != index
    }
    name = "" if path.suffix.lower() == ".txt" else found.columns[index]
    place = f"column {name!r} of {path.name}" if name else path.name
    return PromptFile(
        pd.DataFrame({"prompt": list(rows), **attributes}),
        column=name,
        summary=f"{len(rows)} prompts from {place}; left out: {n_empty} empty, "
        f"{n_duplicates} repeated",
    )


def check_column(path: Path, column: str | None, *, what: str) -> None:
    """Refuse a file of a kind that is not read, and a column of a list."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{path.name} is no file of {what}; needed one that ends in {', '.join(SUFFIXES)}"
        )
    if path.suffix.lower() == ".txt" and column is not None:
        raise OptionError(f"column is {column!r}, but {path.name} has no columns; leave it out")


def checked_prompt(value: object, path: Path, place: str) -> str | None:
    """Check a prompt of a file; None if it is empty."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        check_prompt(value)
    except DataError as error:
        raise DataError(f"{path}, {place}: {error}") from error
    return str(value)


def _typed(values: list[Any]) -> pd.Series[Any]:
    """A column of numbers if all values are, without leading zeros; else of text."""
    import pandas as pd

    is_text = [value is None or isinstance(value, str) for value in values]
    texts = [
        value if text else json.dumps(value, ensure_ascii=False, default=str)
        for value, text in zip(values, is_text, strict=True)
    ]
    column = pd.Series(texts, dtype=object)
    is_empty = column.isna() | (column == "")
    numbers = pd.to_numeric(column.mask(is_empty), errors="coerce")
    is_code = column.str.match(r"[+-]?0\d", na=False)
    if is_empty.all() or is_code.any() or numbers[~is_empty].isna().any():
        return column
    return numbers
