"""How a figure reaches the disk: its formats, its data beside it, and where it came from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.io.artifacts import Provenance, atomic, hash_file
from probe.io.files import harmless

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

FORMATS = ("pdf", "png")
"""Formats that a figure is written in unless others are asked for."""
ALL_FORMATS = (*FORMATS, "svg")
"""Formats that may be asked for."""


def drawn_from(path: Path, made: Provenance) -> Provenance:
    """Say what a figure of one file is, by the file and its own provenance."""
    return Provenance(
        kind="figure",
        model=made.model,
        revision=made.revision,
        seed=made.seed,
        made_from=hash_file(path),
    )


def write_figure(
    target: Path, figure: Figure, data: DataFrame, provenance: Provenance, formats: list[str]
) -> list[Path]:
    """Write a figure in each format and its data as CSV; the target's suffix is added.

    Equal figures give equal bytes: nothing of the time or of the machine is written.
    """
    paths = [target.with_name(f"{target.name}.{suffix}") for suffix in formats]
    for path in paths:
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=_metadata(path, target.name, provenance))
    paths.append(target.with_name(f"{target.name}.csv"))
    data = data.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell)
    with atomic(paths[-1]) as temporary:
        data.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    return paths


def _metadata(path: Path, name: str, provenance: Provenance) -> dict[str, Any]:
    """Metadata of an image file: the provenance, and no time."""
    origin = json.dumps(asdict(provenance), sort_keys=True)
    software = f"moesd-probe {provenance.version}"
    if path.suffix == ".png":
        return {"Software": software, "Title": name, "Description": origin}
    if path.suffix == ".svg":
        return {"Creator": software, "Title": name, "Description": origin, "Date": None}
    return {
        "Title": name,
        "Subject": origin,
        "Creator": software,
        "Producer": None,
        "CreationDate": None,
    }
