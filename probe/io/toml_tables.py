"""TOML files that users write: values are read by key, and a wrong one is refused by its key."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.files import one_line, read_whole
from probe.io.lines import nearest


class TomlTable:
    """A table of a TOML file that knows its file and its key path.

    Every method that takes a key raises `DataError` if its value is not what was needed: the
    message names the file, the key path, what was found and what was needed.
    """

    def __init__(self, data: Mapping[str, Any], source: str, prefix: str = "") -> None:
        self.data, self._source, self._prefix = data, source, prefix

    @classmethod
    def read(cls, path: Path, what: str) -> TomlTable:
        """Read a file; ``what`` says in messages what it is, e.g. ``"lexicon"``."""
        try:
            return cls(read_toml(path), f"{what} {path}")
        except OSError as error:
            raise DataError(
                f"{what} {path} cannot be read: {one_line(error)}; name another file"
            ) from error
        except ValueError as error:
            raise DataError(
                f"{what} {path} is not TOML ({one_line(error)}); correct the file"
            ) from error

    def wrong(self, key: str, found: str, needed: str) -> DataError:
        """An error that names a key of this table; ``found`` is a predicate: ``"is 3"``."""
        return DataError(
            f"{self._source}: {self._prefix}{key} {found}; needed {needed}; correct the file"
        )

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Refuse keys other than the known ones."""
        known = list(known)
        for key in self.data:
            if key not in known:
                raise self.wrong(key, f"is unknown{nearest(key, known)}", f"one of {either(known)}")

    def table(self, key: str) -> TomlTable:
        """A table below this one."""
        return self._below(key, self.data.get(key), f"{key}.")

    def tables(self, key: str) -> Iterator[TomlTable]:
        """The tables of an array of tables, at least one; they are named by their ``name``."""
        found = self.data.get(key)
        if not isinstance(found, list) or not found:
            raise self.wrong(key, shown(found), f"at least one entry [[{key}]]")
        for index, entry in enumerate(found):
            name = entry.get("name") if isinstance(entry, dict) else None
            label = f"{key} {name!r}: " if isinstance(name, str) else f"{key}[{index}]."
            yield self._below(f"{key}[{index}]", entry, label)

    def string(self, key: str) -> str:
        """A string that is not empty."""
        return self._string(key, self.data.get(key))

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings, at least one, which differ in more than case."""
        found = self.data.get(key)
        if not isinstance(found, list) or not found:
            raise self.wrong(key, shown(found), "a list of strings")
        texts = [self._string(f"{key}[{index}]", text) for index, text in enumerate(found)]
        self.distinct(key, texts)
        return tuple(texts)

    def number(self, key: str, low: float = float("-inf"), high: float = float("inf")) -> float:
        """A finite number between two bounds, both included."""
        found: Any = self.data.get(key)
        is_number = type(found) in (int, float) and math.isfinite(found)
        if not is_number or not low <= found <= high:
            bounds = f" from {low:g} to {high:g}" if abs(low) + abs(high) < float("inf") else ""
            raise self.wrong(key, shown(found), f"a number{bounds}")
        return float(found)

    def numbers(self, key: str, n: int) -> list[float]:
        """A list of n numbers."""
        found: Any = self.data.get(key)
        is_list = isinstance(found, list) and all(type(x) in (int, float) for x in found)
        if not is_list or len(found) != n:
            raise self.wrong(key, shown(found), f"a list of {n} numbers")
        return [float(number) for number in found]

    def distinct(self, key: str, names: Iterable[str]) -> None:
        """Refuse a name that occurs twice, without regard to case."""
        seen: set[str] = set()
        for name in names:
            if name.casefold() in seen:
                raise self.wrong(key, f"has {name!r} twice", "each name once")
            seen.add(name.casefold())

    def _below(self, key: str, found: object, prefix: str) -> TomlTable:
        if not isinstance(found, dict):
            raise self.wrong(key, shown(found), "a table")
        return TomlTable(found, self._source, self._prefix + prefix)

    def _string(self, key: str, found: object) -> str:
        if not isinstance(found, str) or not found.strip() or "\0" in found:
            raise self.wrong(key, shown(found), "a string that is not empty")
        return found


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of at most 1 MiB; `OSError` or `ValueError` if it cannot be read."""
    text = read_whole(path, 2**20).decode("utf-8-sig")
    # The time that tomllib takes is quadratic in the parts of a dotted key.
    if sum(line.count(".") ** 2 for line in text.splitlines()) > 20_000_000:
        raise ValueError("it has keys of thousands of parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def shown(found: object) -> str:
    """``"is 3"``, or that there is nothing."""
    return "is missing" if found is None else f"is {found!r}"


def either(names: Iterable[str]) -> str:
    """``"a, b or c"``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
