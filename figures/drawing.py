"""Draw the figures of a run into its folder: formats, data beside them, and provenance."""

from __future__ import annotations

import io
import json
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.registry import all_figures
from figures.sources import RunFiles
from figures.style import in_style
from probe.errors import OptionError
from probe.io.artifacts import Provenance, atomic, hash_file
from probe.io.escaping import harmless

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from figures.registry import Drawing

_GREY = re.compile(r"#([0-9a-f]{2})\1\1\b")

FORMATS = ("pdf", "png", "svg")
"""Formats of a figure: for papers, for slides, and for web pages."""


def draw(
    run: Path,
    name: str | None = None,
    formats: Iterable[str] = FORMATS,
    *,
    style: str = "paper",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Draw one figure of a run, or all, into ``run/figures``, with the data of each as CSV and its
    caption as text.

    Figures in another style than ``paper`` go into ``run/figures/STYLE``. The same run gives the
    same bytes. Nothing is drawn unless every required file exists; figures of studies that were
    not run are left out. ``progress`` is called with the number of figures done and their total.
    """
    formats, known = list(formats), all_figures()
    if name is not None and name not in known:
        raise OptionError(f"no figure is named {name!r}; choose from {', '.join(known)}")
    if unknown := [entry for entry in formats if entry not in FORMATS]:
        raise OptionError(f"formats {unknown} are unknown; choose from {', '.join(FORMATS)}")
    files = RunFiles(Path(run))
    names = drawable(files) if name is None else [name]
    files.require(*dict.fromkeys(source for entry in names for source in known[entry].reads))
    folder = files.run / "figures" / ("" if style == "paper" else style)
    written = []
    for done, entry in enumerate(names, start=1):
        with in_style(style):
            figure, data = build(files, entry)
            origin = files.provenance("figure", *known[entry].reads)
            written += write_figure(
                folder / entry, figure, data, origin, formats, caption=known[entry].caption
            )
        if progress is not None:
            progress(done, len(names))
    return written


def build(files: RunFiles, name: str) -> Drawing:
    """Return a figure of a run and the data that it shows, without writing anything."""
    return all_figures()[name].recipe(files)


def drawable(files: RunFiles) -> list[str]:
    """Name the figures of a run: all but those of studies that were not run."""
    return [name for name, entry in all_figures().items() if entry.is_drawable(files)]


def write_figure(
    target: Path,
    figure: Figure,
    data: DataFrame,
    provenance: Provenance,
    formats: Iterable[str] = FORMATS,
    *,
    caption: str,
) -> list[Path]:
    """Write a figure in each format, its data as CSV, and its title and caption as text.

    The suffix of ``target`` is added. Equal figures give equal bytes: neither time nor machine is
    recorded.
    """
    paths = [target.with_name(f"{target.name}.{suffix}") for suffix in formats]
    for path in paths:
        write_image(path, figure, provenance)
    origin = f"Model: {provenance.model}; drawn by moesd-probe {provenance.version}."
    title = " ".join(figure.get_suptitle().split("\n")) + "."
    words = " ".join(filter(None, [title, caption, _sizes(data), origin]))
    words = textwrap.fill(words, 100, break_on_hyphens=False)
    paths += [target.with_name(f"{target.name}.{suffix}") for suffix in ("txt", "csv")]
    with atomic(paths[-2]) as temporary:
        temporary.write_text(f"{words}\n", "utf-8")
    data = data.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell)
    data = data.rename(columns=lambda name: harmless(str(name)))
    with atomic(paths[-1]) as temporary:
        data.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
    return paths


def write_image(path: Path, figure: Figure, provenance: Provenance) -> None:
    """Write a figure alone, in the format of the suffix, with its provenance as metadata."""
    content, kind = io.BytesIO(), path.suffix[1:]  # on a full disk, matplotlib raises of its own
    plate: dict[str, Any] = {"facecolor": "none"} if kind == "svg" else {}
    figure.savefig(content, format=kind, metadata=_metadata(path, provenance), **plate)
    drawn = content.getvalue()
    with atomic(path) as temporary:
        temporary.write_bytes(_themed(drawn.decode()).encode() if kind == "svg" else drawn)


def write_table_figure(
    target: Path, figure: Figure, data: DataFrame, path: Path, made: Provenance, *, caption: str
) -> list[Path]:
    """Write a figure of one table that lies at ``path`` and has its own provenance."""
    origin = Provenance("figure", made.model, made.revision, made.seed, hash_file(path))
    return write_figure(target, figure, data, origin, caption=caption)


def _sizes(data: DataFrame) -> str:
    """How many occupations, prompts and images a figure shows, by the columns of its data."""
    people = data[data["group"] != "object"] if "group" in data else data
    counts = {
        "occupations": people["subject"].nunique() if "subject" in data else 0,
        "prompts": data["prompt"].nunique() if "prompt" in data else 0,
        "pairs of images": data["file_name"].nunique() if "file_name" in data else 0,
    }
    if "unit" in data:
        counts |= data.groupby("unit")["n"].max().to_dict()
    shown = [f"{n} {unit}" for unit, n in counts.items() if n]
    if {"subject", "share", "n"} <= set(data):
        least, most = data["n"].min(), data["n"].max()
        shown.append(f"{least} images each" if least == most else f"{least} to {most} images each")
    return f"Shown: {', '.join(shown)}." if shown else ""


def _themed(svg: str) -> str:
    """Let the greys of an SVG follow a dark page; programs without media queries ignore it."""
    rules = [f".figure{{fill:{_on_dark(0)}}}"]  # letters, which are black
    for grey in sorted(set(_GREY.findall(svg))):
        rules += [
            f'.figure [style*="{part}: #{3 * grey}"]{{{part}:{_on_dark(int(grey, 16))}!important}}'
            for part in ("fill", "stroke")
        ]
    style = f"<style>@media(prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    # Hundredths of a point suffice; scales, which are below 10, keep their decimals.
    head, body = re.sub(r"(\d\d\.\d\d)\d+", r"\1", svg).split("<svg ", 1)
    return f'{head}<svg class="figure" {body.replace(">", f">{style}", 1)}'


def _on_dark(grey: int) -> str:
    """Colour on a dark page of a grey, 0 to 255."""
    ink, paper = (0xE9, 0xE5, 0xDB), (0x17, 0x16, 0x13)
    mixed = (round(a + (b - a) * grey / 255) for a, b in zip(ink, paper, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _metadata(path: Path, provenance: Provenance) -> dict[str, Any]:
    """Metadata of an image file: its name and provenance, and no time."""
    name = path.stem
    origin = json.dumps(asdict(provenance), sort_keys=True)
    software = f"moesd-probe {provenance.version}"
    if path.suffix == ".png":
        return {"Software": software, "Title": name, "Description": origin}
    if path.suffix == ".svg":
        return {"Creator": software, "Title": name, "Description": origin, "Date": None}
    no_time = {"Producer": None, "CreationDate": None}
    return {"Title": name, "Subject": origin, "Creator": software, **no_time}
