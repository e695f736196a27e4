"""Images without a label: which they are, and how far they could change a figure."""

from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Counts, Double, Mask
from probe.audit.measures import as_counts, as_target, measure_shares, worst_figures
from probe.images.missing_labels import MISSING

Found = dict[str, Any]


def is_seen(labels: pd.DataFrame, *attributes: str) -> Mask:
    """Tell in which images, one a row, a value of every attribute was seen."""
    seen = np.ones(len(labels), dtype=bool)
    for name in attributes:
        seen &= ~labels[name].isin(MISSING).to_numpy()
    return seen


def seen_on_both(labels: pd.DataFrame, *attributes: str) -> pd.DataFrame:
    """Keep the images in which every attribute was seen, of the subjects that both sides have."""
    kept = labels[is_seen(labels, *attributes)]
    n_sides = kept.groupby("subject")["side"].nunique()
    return kept[kept["subject"].isin(n_sides.index[n_sides == labels["side"].nunique()])]


def count_missing(labels: pd.Series) -> Found:
    """Count images by why nothing was seen: ``n_images``, ``total``, and each of `MISSING`."""
    found = {reason: int((labels == reason).sum()) for reason in MISSING}
    return {"n_images": len(labels), "total": sum(found.values()), **found}


def bound_figures(counts: Counts, n_missing: Counts, *, target: Double | None = None) -> Found:
    """Bound every fairness measure by what the images without a label could have shown.

    The lower bound takes them to be as fair as the others allow, the upper one to be all of one
    value, for each subject the one that makes it least fair. No assumption is made on why they
    have no label.

    The counts have the shape (n_subjects, K), and ``n_missing`` images of each subject no label.
    Every measure has ``low`` and ``high``, the figure itself if no label is missing, and ``most``,
    the largest value that it can have.

    References
    ----------
    Manski, *Nonparametric bounds on treatment effects*, American Economic Review 80 (1990).
    """
    counts = as_counts(counts)
    fair = as_target(target, counts.shape)
    totals = (counts.sum(axis=1) + n_missing)[:, None]
    of_one_value = np.eye(counts.shape[1], dtype=np.int64)[:, None] * n_missing[:, None]
    highest = measure_shares((counts + of_one_value) / totals, fair)  # (K, n_subjects)
    lowest = measure_shares(_fairest(counts, n_missing, fair), fair)
    found = {}
    for name, most in worst_figures(fair).items():
        low, high = float(lowest[name].mean()), float(highest[name].max(axis=0).mean())
        found[name] = {"low": low, "high": high, "most": most}
    return found


def bound_difference(before: Found, after: Found) -> Found:
    """Bound ``after`` minus ``before`` by the bounds of both, which nothing ties together."""
    return {"low": after["low"] - before["high"], "high": after["high"] - before["low"]}


def _fairest(counts: Counts, n_missing: Counts, fair: Double) -> Double:
    """Shares after the images without a label were given to the values that lack most."""
    totals = counts.sum(axis=1) + n_missing
    shares = np.empty(counts.shape)
    for row, (seen, wanted) in enumerate(zip(counts, fair, strict=True)):
        # raise the values with least surplus over their fair number to one level: the nearest
        # point of the simplex, in the sense of squares, that uses up what is left
        surplus = seen - wanted * totals[row]
        order = np.sort(surplus)
        left = float(n_missing[row])
        filled = np.cumsum(order)
        for size in range(1, len(order) + 1):
            level = (left + filled[size - 1]) / size
            if size == len(order) or level <= order[size]:
                break
        shares[row] = (wanted * totals[row] + np.maximum(surplus, level)) / totals[row]
    return shares
