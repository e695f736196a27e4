"""Where people and a classifier label images differently: a table, and a page to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.report.pictures import as_webp
from figures.text.layout import aligned
from probe.images.missing_labels import MISSING
from probe.stats.notation import interval, number, p_value, percent

if TYPE_CHECKING:
    from pandas import DataFrame

SIDE, MOST = 240, 300
"""Pixels that images are shrunk to; images at most, so that the page can be mailed."""


def agreement_table(found: Mapping[str, Any]) -> str:
    """Write what `probe.audit.agreement.measure_agreement` returns."""
    rows = [["labels of people", "images", "no value by the classifier", "agree", "of all images"]]
    for row in found["rows"]:
        missed, agree = interval(row["missed"], 2), interval(row["agree"], 2)
        bounds = " to ".join(number(bound, 2) for bound in row["bounds"])
        rows.append([row["of"], str(row["n"]), missed, agree, bounds])
    more = [_text(cell) for cell in found["cells"] if cell["p_holm"] <= 0.05]
    about = "intervals over prompts; where they differ more than elsewhere (Fisher, Holm, 5 %)"
    return "\n".join([*aligned(rows), f"{about}: {'; '.join(more) or 'nowhere'}"])


def disagreement_page(folder: Path, pairs: DataFrame, found: Mapping[str, Any]) -> str:
    """Compose the page from what `probe.audit.agreement` returns; it needs no other file."""
    import pandas as pd
    from jinja2 import Environment, PackageLoader

    from probe.images.reading import open_image

    key = ["group", "subject", "people"]
    differ = pairs[(pairs["judge"] != pairs["people"]) & ~pairs["judge"].isin(MISSING)]
    shown = pd.DataFrame(found["cells"]).merge(differ, on=key).head(MOST)  # in the cells' order
    sources = []
    for file in shown["file"]:
        (image := open_image(folder / file)).thumbnail((SIDE, SIDE))
        sources.append(as_webp(image, quality=80))
    shown["source"] = sources
    cells = [of.to_dict("records") for _, of in shown.groupby(key, sort=False)]
    environment = Environment(loader=PackageLoader("figures", "."), autoescape=True)
    environment.filters["text"] = _text
    return environment.get_template("disagreements.html.j2").render(
        source=folder.name, cells=cells, n_differ=len(differ), n_shown=len(shown), side=SIDE
    )


def _text(cell: Mapping[str, Any]) -> str:
    name = ", ".join(filter(None, (cell["group"], cell["subject"], cell["people"])))
    rate, p = percent(cell["elsewhere"]), p_value(cell["p_holm"])
    return f"{name}: {cell['n_differ']} of {cell['n']} differ, elsewhere {rate}, {p}"
