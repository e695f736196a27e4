"""Prompts of a user: one a line, or a column of a table whose other columns are kept."""

from __future__ import annotations

import json
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
    source: str
    """Name of the file, without its folder."""
    column: str
    """Column of the prompts; empty for a plain list."""
    n_empty: int
    """Number of rows left out because they have no prompt."""
    n_duplicates: int
    """Number of rows left out because an earlier one has the same prompt."""

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
        others = {name: f"{name}_in_file" for name in COLUMNS[1:]}
        table = self.table.rename(columns=others)
        return PromptSet(
            table.assign(
                group="given",
                subject=table["prompt"],
                template="",
                pair=-1,
                split="",
                share_women=float("nan"),
            )
        )

    def summary(self) -> str:
        """One line: number of prompts, source, and rows left out."""
        place = f"column {self.column!r} of {self.source}" if self.column else self.source
        return (
            f"{len(self)} prompts from {place}; left out: {self.n_empty} empty, "
            f"{self.n_duplicates} repeated"
        )


def read_prompts(path: str | Path, *, column: str | None = None) -> PromptFile:
    """Read prompts from a ``.txt``, ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file.

    A ``.txt`` file has one prompt a line. The first line of a ``.csv`` (commas) or ``.tsv`` (tabs)
    names its columns; quotes follow RFC 4180. Each line of a ``.jsonl`` file is an object or a
    string; its columns are the keys of the first 10,000 lines. Text is UTF-8. Prompts keep their
    spaces; empty and repeated ones are skipped. A column of numbers becomes numeric.

    Parameters
    ----------
    path : path
    column : str, optional
        Column of the prompts. By default the only one with a usual name (see `PROMPT_NAMES`), else
        the only one of text.

    Returns
    -------
    PromptFile
        At least one prompt.

    Raises
    ------
    DataError
        If the file cannot be read, is not UTF-8, has a NUL byte or a damaged row (with its line),
        has no prompt, or several columns could be meant.
    ValueError
        If the file is of another kind, or a column is named of a file without columns.
    """
    import pyarrow as pa

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(
            f"{path.name} is no file of prompts; needed one that ends in {', '.join(SUFFIXES)}"
        )
    if suffix == ".txt" and column is not None:
        raise OptionError(f"column is {column!r}, but {path.name} has no columns; leave it out")
    found = Records.read(path)
    index = found.column(column, known=PROMPT_NAMES, what="the prompts")
    order = [index, *(i for i in range(len(found.columns)) if i != index)]
    names = [_RENAMED if (name := found.columns[i]) == "prompt" else name for i in order]
    columns: list[list[str | None]] = [[] for _ in order]
    seen: set[str] = set()
    n_empty = n_duplicates = 0
    for place, values in found.rows:
        prompt = values[index]
        if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
            n_empty += 1
            continue
        try:
            check_prompt(prompt)
        except DataError as error:
            raise DataError(f"{path}, {place}: {error}") from error
        if prompt in seen:
            n_duplicates += 1
            continue
        seen.add(prompt)
        for column_values, i in zip(columns, order, strict=True):
            column_values.append(_as_text(values[i]))
    if not seen:
        raise DataError(f"{path} holds no prompt; needed at least one")
    arrays = [pa.array(values, pa.string()) for values in columns]
    table = pa.table([arrays[0], *map(_typed, arrays[1:])], names=["prompt", *names[1:]])
    return PromptFile(
        table.to_pandas(),
        source=path.name,
        column="" if suffix == ".txt" else found.columns[index],
        n_empty=n_empty,
        n_duplicates=n_duplicates,
    )


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _typed(column: Any) -> Any:
    """Convert a text column to numbers if all its values are, without leading zeros."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if (
        filled.null_count == len(filled)
        or pc.any(pc.match_substring_regex(filled, r"^[+-]?0\d")).as_py()
    ):
        return column
    for kind in (pa.int64(), pa.float64()):
        try:
            return filled.cast(kind)
        except pa.ArrowInvalid:
            continue
    return column
