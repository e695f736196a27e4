"""A judge's labels beside people's: how often they agree, what the judge misses, and where."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.readers.image_folders import METADATA, find_table
from probe.audit.readers.labels import read_labels
from probe.audit.readers.selection import Selection
from probe.audit.tables import LabelTable
from probe.errors import DataError
from probe.images.missing_labels import MISSING
from probe.stats.interval import Interval
from probe.stats.multiplicity import holm
from probe.stats.proportion import proportion_interval


def read_people(folder: Path, attribute: str, selection: Selection) -> LabelTable:
    """Read people's labels from the table of a folder of images."""
    path = find_table(folder) or folder / METADATA[-1]
    return read_labels(path, attribute=attribute, selection=replace(selection, is_strict=False))


def pair_labels(judge: LabelTable, people: LabelTable, attribute: str) -> pd.DataFrame:
    """Pair the labels of each image that people gave a value, by its file's name.

    Columns: ``file``, ``group``, ``subject``, ``people``, ``judge`` (a value or one of `MISSING`).
    """
    sides = []
    for name, table in (("judge", judge), ("people", people)):
        words = np.array([*table.values[attribute], *MISSING[::-1]], dtype=object)
        sides.append(pd.DataFrame({"file": table.files, name: words[table.codes[attribute]]}))
    about = {"group": judge.groups or "", "subject": np.array(judge.subjects)[judge.rows]}
    pairs = sides[0].assign(**about).merge(sides[1], on="file")
    if (pairs := pairs[~pairs["people"].isin(MISSING)]).empty:
        raise DataError(f"{people.source} gives no image a value of {attribute}; fill some in")
    return pairs


def measure_agreement(pairs: pd.DataFrame) -> dict[str, Any]:
    """Measure what `pair_labels` returns.

    ``rows``: of all images, each group and each value of people, the number ``n``; the share that
    the judge gives no value (``missed``); the share of the others on which both agree (``agree``);
    its ``bounds`` in all of them. ``confusion``: counts of people's and the judge's labels.
    ``cells``: for each group, subject and value of people, whether the two differ more often than
    elsewhere, the least p-value first: Fisher's exact test, one-sided, adjusted by Holm. (A
    binomial test against the rate elsewhere would take that rate for known.)
    """
    is_missed, is_same = pairs["judge"].isin(MISSING), pairs["judge"] == pairs["people"]
    pairs = pairs.assign(is_missed=is_missed, is_same=is_same)
    parts = {"all": pairs}
    for column in ("group", "people"):
        if pairs[column].nunique() > 1:
            parts |= dict(iter(pairs.groupby(column, sort=False)))
    counts = pairs.groupby(["people", "judge"]).size().items()
    return {
        "rows": [{"of": name, **_measure(part)} for name, part in parts.items()],
        "confusion": [{"true": true, "seen": seen, "count": n} for (true, seen), n in counts],
        "cells": _cells(pairs[~is_missed]),
    }


def _measure(part: pd.DataFrame) -> dict[str, Any]:
    n, n_missed, n_same = len(part), int(part["is_missed"].sum()), int(part["is_same"].sum())
    return {
        "n": n,
        "missed": _share(part, "is_missed"),
        "agree": _share(part[~part["is_missed"]], "is_same") if n_missed < n else None,
        "bounds": [n_same / n, (n_same + n_missed) / n],
    }


def _share(part: pd.DataFrame, column: str) -> dict[str, Any]:
    clusters = part.groupby(["group", "subject"]).ngroup().to_numpy()
    if clusters.max() == 0:  # the images of one prompt show nothing of others
        return asdict(Interval(float(part[column].mean()), 0.0, 1.0, "prompts", 1))
    return asdict(proportion_interval(part[column].to_numpy(), clusters=clusters, unit="prompts"))


def _cells(seen: pd.DataFrame) -> list[dict[str, Any]]:
    from scipy.stats import hypergeom

    if seen.empty:
        return []
    differs = seen.assign(differs=~seen["is_same"]).groupby(["group", "subject", "people"])
    cells = differs["differs"].agg(n="size", n_differ="sum").reset_index()
    n, n_differ = len(seen), int(cells["n_differ"].sum())
    cells["elsewhere"] = (n_differ - cells["n_differ"]) / (n - cells["n"]).clip(lower=1)
    cells["p"] = hypergeom.sf(cells["n_differ"] - 1, n, n_differ, cells["n"])
    cells["p_holm"] = holm(cells["p"].to_numpy())
    return list(cells.sort_values("p", kind="stable").to_dict("records"))
