"""Pictures without a label: which they are, and how far they could change a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Counts, Mask
from probe.audit.figures import missing_label_bounds
from probe.audit.measures import MEASURES
from probe.images.missing_labels import MISSING

Found = dict[str, Any]


def is_seen(labels: pd.DataFrame, *attributes: str) -> Mask:
    """Tell in which pictures, one a row, a value of every attribute was seen."""
    seen = np.ones(len(labels), dtype=bool)
    for name in attributes:
        seen &= ~labels[name].isin(MISSING).to_numpy()
    return seen


def seen_on_both(labels: pd.DataFrame, *attributes: str) -> pd.DataFrame:
    """Keep the pictures in which every attribute was seen, of the subjects that both sides have."""
    kept = labels[is_seen(labels, *attributes)]
    n_sides = kept.groupby("subject")["side"].nunique()
    return kept[kept["subject"].isin(n_sides.index[n_sides == labels["side"].nunique()])]


def count_missing(labels: pd.Series) -> Found:
    """Count pictures by why nothing was seen: ``n_images``, ``total``, and each of `MISSING`."""
    found = {reason: int((labels == reason).sum()) for reason in MISSING}
    return {"n_images": len(labels), "total": sum(found.values()), **found}


def bound_figures(counts: Counts, n_missing: Counts) -> Found:
    """Bound every measure of one side; see `missing_label_bounds`.

    Returns
    -------
    dict
        `MEASURES`, each with ``low`` and ``high``.
    """
    found = {}
    for name in MEASURES:
        low, high = missing_label_bounds(counts, n_missing, measure=name)
        found[name] = {"low": low, "high": high}
    return found


def bound_difference(before: Found, after: Found) -> Found:
    """Bound ``after`` minus ``before`` by the bounds of both, which nothing ties together."""
    return {"low": after["low"] - before["high"], "high": after["high"] - before["low"]}
