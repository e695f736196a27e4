"""Settings of a run: the tables of its ``config.toml``, one a stage or study that has settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from probe.errors import ArtifactError, OptionError
from probe.io.files import atomic, one_line
from probe.io.settings import Settings, typed_settings
from probe.io.toml_tables import read_toml
from probe.run.registry import settings_tables

FILE = "config.toml"
SCHEMA = 2
"""Version of the layout of the file."""
IMPORT = "import:"
"""What ``model`` begins with in a run of imported vectors; the name of their file follows."""
_RENAMED = {"probe": "study"}
"""Tables that had another name, which is still read."""
_REMOVED = {"generate": {"precision": "fp32"}}
"""Settings that are gone, with the values that change nothing."""

_HEADER = """\
# Settings of this run. Edit them, then run `moesd-probe run` again: it updates what they affect.
"""


@dataclass(frozen=True)
class Config:
    """Every setting of a run, by table: ``config.fit.n_bootstrap``."""

    model: str
    """A laboratory model such as ``"tinytown"``, a folder or a hub id, as the user named it;
    ``"import:FILE"`` in a run of imported vectors, which has no model."""
    tables: Mapping[str, Settings] = field(default_factory=dict)
    """Tables by name; those of `settings_tables` that are not given have their defaults."""

    def __post_init__(self) -> None:
        whole = {name: self.tables.get(name) or kind() for name, kind in settings_tables().items()}
        object.__setattr__(self, "tables", whole)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["tables"][name]
        except KeyError:
            raise AttributeError(f"the settings have no table {name!r}") from None

    @property
    def is_imported(self) -> bool:
        """Whether the run is one of imported vectors."""
        return self.model.startswith(IMPORT)

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read and check ``config.toml`` of a run folder; what is wrong is an `ArtifactError`."""
        path = folder / FILE
        try:
            data = read_toml(path)
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{folder} holds no {FILE}, so it is no run; start one with "
                f"`moesd-probe embed {folder} --model tinytown`"
            ) from error
        except NotADirectoryError as error:
            raise ArtifactError(f"{folder} is a file; RUN must be a folder") from error
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {one_line(error)}") from error
        except ValueError as error:
            raise ArtifactError(f"{path} is not TOML ({error}); correct the file") from error
        if (schema := data.pop("schema", None)) != SCHEMA:
            raise ArtifactError(
                f"{path} has schema {schema} but this version reads schema {SCHEMA}; "
                f"make the run again in another folder with `moesd-probe run FOLDER --model "
                f"{data.get('model', 'MODEL')}`"
            )
        model = data.pop("model", None)
        if not isinstance(model, str) or not model:
            raise ArtifactError(f'{path} names no model; add a line like model = "tinytown"')
        known = settings_tables()
        data = {_RENAMED.get(name, name): value for name, value in data.items()}
        for name, gone in _REMOVED.items():
            if isinstance(table := data.get(name), dict):
                data[name] = {of: it for of, it in table.items() if gone.get(of) != it}
        if unknown := [name for name in data if name not in known]:
            raise ArtifactError(
                f"{path} has no use for {unknown[0]!r}; known are schema, model and the tables "
                f"{', '.join(known)}; correct the file"
            )
        tables = {
            name: _table(path, name, kind, data.get(name, {})) for name, kind in known.items()
        }
        return cls(model, tables)

    def write(self, folder: Path) -> None:
        """Write ``config.toml``, every setting with its description."""
        with atomic(folder / FILE) as temporary:
            temporary.write_text(self.to_toml(), encoding="utf-8")

    def to_toml(self) -> str:
        """Return every setting with its description, as TOML."""
        lines = [_HEADER, f"schema = {SCHEMA}", f"model = {_toml(self.model)}"]
        for name, table in self.tables.items():
            lines += ["", f"[{name}]"]
            values = asdict(table)
            for item in fields(table):
                lines.append(f"# {item.metadata['help']}")
                lines.append(f"{item.name} = {_toml(values[item.name])}")
        return "\n".join(lines) + "\n"

    def with_settings(self, table: str, settings: Mapping[str, Any]) -> Config:
        """Return the settings with some of one table changed; `OptionError` if not allowed."""
        if table not in self.tables:
            raise OptionError(
                f"there are no settings of {table!r}; known are {', '.join(self.tables)}"
            )
        old = self.tables[table]
        settings = type(old).completed(settings)
        changed = replace(old, **typed_settings(type(old), table, settings))
        return replace(self, tables={**self.tables, table: changed})

    def with_seed(self, seed: int) -> Config:
        """Give every table that has a seed the same one."""
        config = self
        for name, table in self.tables.items():
            if any(item.name == "seed" for item in fields(table)):
                config = config.with_settings(name, {"seed": seed})
        return config


def _table(path: Path, name: str, kind: type[Settings], values: object) -> Settings:
    if not isinstance(values, dict):
        raise ArtifactError(f"{path}: {name} is {values!r}; needed a table [{name}]")
    try:
        return kind(**typed_settings(kind, name, values))
    except OptionError as error:
        raise ArtifactError(f"{path}: [{name}] {error}; correct the file") from error


def _toml(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # JSON escapes as TOML does, but for the one character DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
