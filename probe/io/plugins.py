"""Registries: what the package and installed plugins offer, by name."""

import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

T = TypeVar("T")

GROUP = "moesd_probe.plugins"
"""Entry-point group of plugins: each entry point is a module whose import registers things."""

_logger = logging.getLogger(__name__)


class Registry(Mapping[str, T]):
    """Things of one kind by name, in alphabetical order.

    The first look-up imports every module of the given packages, and then every installed plugin:
    a module registers what it offers when it is imported.

    Parameters
    ----------
    kind : str
        The kind of thing, for messages: ``"study"``.
    packages : str
        Packages whose modules register things of this kind.
    """

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind = kind
        self._packages = packages
        self._items: dict[str, T] = {}
        self._is_loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Register what follows under a name; a decorator of functions and classes."""
        return lambda item: self.add(name, item)

    def add(self, name: str, item: T) -> T:
        """Add a thing under a name that no other has, and return it."""
        if name in self._items:
            raise ValueError(f"two {self.kind} entries are named {name!r}; choose another name")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())

    def _load(self) -> dict[str, T]:
        if not self._is_loaded:
            self._is_loaded = True
            for package in self._packages:
                import_modules(package)
            load_plugins()
        return self._items


def import_modules(package: str) -> None:
    """Import every module of a package, in alphabetical order."""
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")


@cache
def load_plugins() -> None:
    """Import every installed plugin once; one that fails is reported in a warning and left out."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            entry.load()
        except Exception as error:
            _logger.warning("plugin %s (%s) was not loaded: %s", entry.name, entry.value, error)
