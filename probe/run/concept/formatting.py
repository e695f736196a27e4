"""What was found about a concept, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.stats.notation import bracketed

if TYPE_CHECKING:
    import pandas as pd

_N_NAMED = 3  # targets named at each end
_FEW = 5  # pairs or words of which the draws are mostly the same ones


def summarise(figures: dict[str, Any], places: pd.DataFrame) -> list[str]:
    """Write the figures of a concept in lines: the axes, then the targets along them."""
    lines = [figures["note"]] if figures["note"] else []
    targets = places[places["kind"] == "target"]
    for axis in figures["axes"]:
        lines.append(_axis_line(axis))
        rows = targets[targets["toward"] == axis["toward"]].sort_values("place", kind="stable")
        half = len(rows) // 2  # each target is named once
        if len(rows):
            lines.append(f"  most: {_named(rows[half:][::-1])}")
        if half:
            lines.append(f"  least: {_named(rows[:half])}")
    if (agreement := figures["pair_agreement"]) is not None:
        lines.append(f"mean cosine between the differences of two pairs: {agreement:.3f}")
    if (found := figures["separation"]) is not None:
        lines.append(
            "words nearest to the mean of the others of their group: "
            f"{bracketed(found['value'], found['low'], found['high'])} (chance "
            f"{found['chance']:.2f}), n = {found['n']}"
        )
    lines += list(_association_lines(figures))
    return lines


def _axis_line(axis: dict[str, Any]) -> str:
    n, unit = axis["n_units"], "pair" if axis["kind"] == "pairs" else "word"
    line = f"towards {axis['toward']}, from {n} {unit}{'s' if n > 1 else ''}"
    if axis["angle_median"] is None:
        line += ": nothing to resample, so no interval"
    else:
        line += (
            f": moves by {axis['angle_median']:.1f} degrees when they are resampled (95 % below "
            f"{axis['angle_high']:.1f})"
        )
        if n < _FEW:
            line += f"; fewer than {_FEW} make the intervals too narrow"
    if axis["cosine_to_run"] is not None:
        line += f", cosine {axis['cosine_to_run']:.3f} with the run's own axis"
    return line


def _named(rows: pd.DataFrame) -> str:
    shown = []
    for row in rows.head(_N_NAMED).itertuples():
        has_interval = np.isfinite(row.low)
        place = bracketed(row.place, row.low, row.high) if has_interval else f"{row.place:.3f}"
        shown.append(f"{row.name} {place}")
    return ", ".join(shown)


def _association_lines(figures: dict[str, Any]) -> Iterator[str]:
    for found in figures["correlations"]:
        yield (
            f"place towards {found['group']} against its figures: "
            f"r = {bracketed(found['r'], found['low'], found['high'])}, n = {found['n']}"
        )
    for found in figures["measures"]:
        yield (
            f"{found['measure']}, {found['toward']}: "
            f"{bracketed(found['value'], found['low'], found['high'])}, p = {found['p']:.2g} "
            f"(Holm {found['p_holm']:.2g}), n = {found['n']}"
        )
