"""First screen of the report: a dot per occupation, four pairs of images, the way of a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from figures.report.pictures import thumbnail
from figures.sources import RunFiles
from figures.text.result import ONE_SIDED, UNSEEN
from probe.audit.missing_label_bounds import is_seen
from probe.run.files import SIDES

if TYPE_CHECKING:
    from pandas import DataFrame

N_EXAMPLES = 4
"""Pairs of images on the first screen."""
WIDTH, HEIGHT, BIN = 300, 38.0, 3.6
"""Width of the strip of dots, height of a side's dots at most, and distance of two dots."""


def dots(rows: Sequence[Mapping[str, Any]], *, target: float) -> dict[str, Any]:
    """Place each occupation as a dot on an axis of the share of one value, before and after.

    ``rows`` are those of `figures.report.content.subject_shares`; dots that would lie on one
    another are stacked upwards. The bands are where (nearly) all images show one value, and
    ``chance`` is where 95 % of the occupations of a fair model lie.
    """
    from probe.audit.failures import fair_counts

    sides, inner = {}, WIDTH - 2 * BIN
    for side in SIDES:
        places = [round(row[side]["value"] * inner / BIN) * BIN + BIN for row in rows]
        heights: Counter[float] = Counter()
        step = min(BIN, HEIGHT / max(Counter(places).values(), default=1))
        dots = []
        for row, x in zip(rows, places, strict=True):
            y = step * heights[x] + BIN / 2
            heights[x] += 1
            is_new = row["split"] == UNSEEN
            dots.append({"x": x, "y": y, "new": is_new, "name": row["subject"]} | row[side])
        high = step * (max(heights.values(), default=1) - 1) + BIN
        sides[side] = {"dots": dots, "height": high}
    n_images = np.array([min((row[side]["n"] for row in rows for side in SIDES), default=1)])
    low, high = (float(limit[0] / n_images[0]) for limit in fair_counts(n_images, target))
    chance = [BIN + inner * max(0.0, low), BIN + inner * min(1.0, high)]
    edges = [1.5 * BIN + inner * (1 - ONE_SIDED), BIN / 2 + inner * ONE_SIDED]
    bands = {"edges": edges, "chance": chance, "even": 100 * (BIN + inner * target) / WIDTH}
    return {"sides": sides, "width": WIDTH, "radius": 0.46 * BIN, **bands}


def examples(files: RunFiles) -> dict[str, Any]:
    """Choose pairs of images for the first screen: what the correction looks like where it acts.

    Of the occupations with the lowest and the highest shares, preferably ones that no training has
    seen, each shows its first pair in which the perceived value changed. ``n_changed`` of all ``n``
    pairs did.
    """
    quality = files.json("quality")
    attribute, value = str(quality["attribute"]), str(quality["value"])
    labels = files.table("labels")
    labels = labels[(labels["kind"] == "neutral") & is_seen(labels, attribute)]
    keys = ["subject", "split", "file_name"]
    seen = labels.pivot_table(index=keys, columns="side", values=attribute, aggfunc="first")
    seen = seen.dropna()
    changed = seen[seen["base"] != seen["moesd"]].reset_index()
    first = changed.drop_duplicates("subject").set_index("subject")
    share = (seen["base"] == value).groupby("subject").mean().loc[first.index]
    new = first.index[first["split"] == UNSEEN]
    chosen = _ends(share.loc[new] if len(new) >= N_EXAMPLES else share)
    pairs = []
    for subject in chosen:
        row = first.loc[subject]
        images = {side: thumbnail(files, side, str(row["file_name"])) for side in SIDES}
        pairs.append(
            {"subject": subject, "images": images, "perceived": row[list(SIDES)].to_dict()}
        )
    return {"pairs": pairs, "n_changed": len(changed), "n": len(seen)}


def lanes(gate: DataFrame, route: str) -> dict[str, int]:
    """Count the prompts of a run that the gate leaves alone, and those of each direction."""
    counts = gate[route].value_counts()
    skewed = {name: int(counts.get(f"{name}-skewed", 0)) for name in ("male", "female")}
    n_open = sum(skewed.values()) + int(counts.get("open", 0))
    return skewed | {"open": n_open, "untouched": len(gate) - n_open}


def _ends(share: Any) -> list[str]:
    """Half of the occupations from either end of the shares, from low to high."""
    names = share.sort_values(kind="stable").index.tolist()
    half = N_EXAMPLES // 2
    return names if len(names) <= N_EXAMPLES else [*names[:half], *names[-half:]]
