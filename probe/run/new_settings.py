"""Change the settings of a run: checked before any work, kept only if the command succeeds.

A file that a setting names is copied into the run folder, so that the run can be moved.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from probe.errors import OptionError
from probe.io import distributed
from probe.io.files import atomic
from probe.io.settings import file_settings
from probe.run.config import FILE
from probe.run.folder import Run
from probe.run.pipeline import require_model
from probe.run.registry import STAGES


def change_settings(run: Run, tables: Mapping[str, Mapping[str, Any]]) -> Run:
    """Return the run with other settings by table, which are checked; nothing is written.

    A path of a file is replaced by the name that its copy will have in the run folder. The same
    object is returned if nothing changes.
    """
    config, sources = run.config, dict(run.sources)
    for table, values in tables.items():
        if values and table in STAGES and STAGES[table].needs_model:
            require_model(run, table)
        config = config.with_settings(table, values)
        for name, value in file_settings(getattr(config, table)).items():
            if name not in values:
                continue
            path, copy = Path(value), f"{name}{Path(value).suffix.lower()}"
            if path.is_file():
                config = config.with_settings(table, {name: copy})
                if path.resolve() != (run.folder / copy).resolve():
                    sources[copy] = path
            elif value != getattr(getattr(run.config, table), name):
                item = next(item for item in fields(getattr(config, table)) if item.name == name)
                raise OptionError(
                    f"{name} is {value!r}; there is no such file. {item.metadata['help']}"
                )
    if config == run.config and sources == run.sources:
        return run
    changed = replace(run, config=config, sources=sources)
    for table in tables:
        if table in STAGES:
            STAGES[table].check(changed)
    return changed


@contextmanager
def kept_settings(old: Run, new: Run) -> Iterator[Run]:
    """Write the settings of a run and the files they name; take them back if the block fails.

    Yields the new run, reading its own copies. An interruption by Ctrl-C is no failure: the same
    command resumes with the same settings.
    """
    if new is old or not distributed.is_first():
        yield replace(new, sources={})
        return
    paths = [new.folder / name for name in (*new.sources, FILE)]
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    try:
        for name, source in new.sources.items():
            with atomic(new.folder / name) as temporary:
                shutil.copyfile(source, temporary)
        new.config.write(new.folder)
        yield replace(new, sources={})
    except Exception:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                with atomic(path) as temporary:
                    temporary.write_bytes(content)
        raise
