"""On which line of a TOML file each of its values stands; `tomllib` does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Keys and positions that lead to a value, e.g. ``("groups", "old", 2)``."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[A-Za-z0-9_-]+')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.S
)
_BARE = re.compile(r"[^,\]}\n#]+")


def toml_lines(text: str) -> Mapping[Path, int]:
    """Find the line, counted from 1, of every key, table and list entry of a valid TOML text.

    A key stands where it is written last, a table where its header is.

    Raises
    ------
    tomllib.TOMLDecodeError
        If the text is no valid TOML.
    """
    tomllib.loads(text)  # the scanner below relies on it
    return _Scanner(text.replace("\r\n", "\n")).scan()


class _Scanner:
    """Walk through a text that is known to be valid, so that nothing needs to be checked."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}

    def scan(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip() < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self._header(2)
                count = self.counts.get(table, 0)
                self.counts[table] = count + 1
                table = (*table, count)
                self._mark(table)
                self._close("]]")
            elif self.text[self.at] == "[":
                table = self._header(1)
                self._close("]")
            else:
                self._pair(table)
        return self.lines

    def _header(self, n_brackets: int) -> Path:
        """Path of a table; an array of tables on the way means its last entry."""
        self.at += n_brackets
        path: Path = ()
        for part in self._keys():
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
            path = (*path, part)
            self.lines.setdefault(path, self._line())
        self._mark(path)
        return path

    def _keys(self) -> list[str]:
        parts = []
        while True:
            self._skip()
            found = _KEY_PART.match(self.text, self.at)
            if found is None:  # cannot be in valid TOML
                raise ValueError(f"no key at character {self.at}")
            self.at = found.end()
            parts.append(_unquoted(found[0]))
            self._skip()
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _pair(self, table: Path) -> None:
        self._skip()
        line = self._line()
        path = table
        for part in self._keys():
            path = (*path, part)
            self.lines[path] = line
        self._close("=")
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip()
        match self.text[self.at]:
            case "[":
                self.at += 1
                index = 0
                while not self._closed("]"):
                    self._mark((*path, index))
                    self._value((*path, index))
                    index += 1
            case "{":
                self.at += 1
                while not self._closed("}"):
                    self._pair(path)
            case _:
                found = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
                self.at = found.end() if found else self.at + 1

    def _closed(self, bracket: str) -> bool:
        """Skip a comma; tell whether a list ends, and step over its end."""
        self._skip()
        if self.text[self.at] == ",":
            self.at += 1
            self._skip()
        if self.text[self.at] != bracket:
            return False
        self.at += 1
        return True

    def _close(self, mark: str) -> None:
        self._skip()
        self.at += len(mark)

    def _skip(self) -> int:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def _mark(self, path: Path) -> None:
        self.lines[path] = self._line()

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    return next(iter(tomllib.loads(f"{key} = 0")))
