"""What erasers leave of a concept, and what else they remove, by cross-fitted probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.utils.validation import has_fit_parameter

from probe.arrays import Double, Mask, Matrix, Vector
from probe.errors import DataError
from probe.latent.directions import as_embeddings
from probe.latent.directions.covariance import solve_covariance
from probe.latent.erasure.affine import pair_codes
from probe.latent.erasure.erasers import ERASERS
from probe.latent.labels import Codes, Labels, as_codes
from probe.stats.mean import mean_interval
from probe.stats.proportion import proportion_interval
from probe.stats.resampling import BOOTSTRAP, Resampling

if TYPE_CHECKING:
    import pandas as pd

_GROUP = ""  # among the labels of the rows, the one to erase
_N_FOLDS = 5
_NOTHING = 1e-12  # of the size of the embeddings


def erasure_table(
    z: Matrix,
    groups: Labels,
    *,
    keep: Mapping[str, Labels] | None = None,
    pairs: Vector | None = None,
    clusters: Labels | None = None,
    resampling: Resampling = BOOTSTRAP,
) -> pd.DataFrame:
    """Measure how much of a concept each eraser of `ERASERS` leaves, and what else is lost.

    In each fold, half of the rows that are not tested fit the eraser, the other half fits the
    probes on the erased rows, and the probes are tested on the fold. The halves are apart because
    means that were made to coincide hide the groups from every linear probe fitted on the same
    rows (Belrose et al., NeurIPS 2023), whatever is left on new ones. Pairs stay together.

    The linear probe is Fisher's linear discriminant with a covariance shrunk by Ledoit and Wolf's
    estimate. The nearest-neighbour probe names the label of the nearest row.

    ``groups`` (n,) are the concept to erase, ``keep`` names what should survive, e.g. the
    occupation of each row. ``pairs`` (n,) numbers the pair of each row, negative for none, for the
    erasers that can use it. The intervals draw ``clusters`` (n,) whole.

    Returns
    -------
    DataFrame
        One row an eraser, after a row ``none`` without erasure. ``linear, nearest``: accuracy of
        the two probes of the group, each with ``_low, _high`` (95 %); ``chance``: accuracy of
        always naming the largest group, which is what complete erasure leaves. ``cosine``: mean
        cosine of a row to its original, 1 if nothing moved. ``kept_NAME``: accuracy of the linear
        probe of each kept label, with ``_low, _high`` and ``_chance``; to be compared with that of
        the row ``none``. ``n`` rows, ``n_groups``.

    Raises
    ------
    DataError
        If a group has fewer than 10 rows, or a fold leaves an eraser nothing to erase.
    """
    import pandas as pd

    z = as_embeddings(z)
    codes, names = as_codes(groups, n_rows=len(z), name="groups")
    labels = {_GROUP: codes}
    for name, values in (keep or {}).items():
        labels[name] = as_codes(values, n_rows=len(z), name=name)[0]
    erasers = {k: v() for k, v in ERASERS.items() if len(names) == 2 or k != "mean-gap"}
    _check_folds(codes)
    if pairs is not None:
        pair_codes(pairs, n_rows=len(z))  # refuses what are no pairs
    slots = _slots(labels, pairs, n_slots=2 * _N_FOLDS, seed=resampling.seed)
    together: dict[str, Any] = {}
    if clusters is not None:
        together["clusters"] = as_codes(clusters, n_rows=len(z), name="clusters")[0]
    drawing = {**together, "resampling": resampling}
    table = []
    for name, eraser in {"none": None, **erasers}.items():
        linear, nearest, cosine = _probe(z, labels, pairs, eraser, slots)
        row = {"eraser": name, "n": len(z), "n_groups": len(names), "chance": _chance(codes)}
        row |= proportion_interval(linear[_GROUP], **together).columns("linear")
        row |= proportion_interval(nearest, **together).columns("nearest")
        row |= mean_interval(cosine, **drawing).columns("cosine")
        for kept in keep or {}:
            row |= proportion_interval(linear[kept], **together).columns(f"kept_{kept}")
            row[f"kept_{kept}_chance"] = _chance(labels[kept])
        table.append(row)
    return pd.DataFrame(table)


def _probe(
    z: Double, labels: dict[str, Codes], pairs: Vector | None, eraser: Any, slots: Codes
) -> tuple[dict[str, Mask], Mask, Double]:
    """Which rows both probes name rightly, by label, and how far each row has turned."""
    linear = {name: np.zeros(len(z), dtype=bool) for name in labels}
    nearest, cosine = np.zeros(len(z), dtype=bool), np.ones(len(z))
    for fold in range(int(slots.max()) // 2 + 1):
        is_test = slots // 2 == fold
        fits, probes = (~is_test & (slots % 2 == half) for half in (0, 1))
        edited = z if eraser is None else _erased(z, labels[_GROUP], pairs, eraser, fits)
        train, test = edited[probes], edited[is_test]
        for name, codes in labels.items():
            linear[name][is_test] = _linear_probe(train, test, codes[probes]) == codes[is_test]
        neighbor = (0.5 * (train**2).sum(axis=1) - test @ train.T).argmin(axis=1)
        nearest[is_test] = labels[_GROUP][probes][neighbor] == labels[_GROUP][is_test]
        cosine[is_test] = _cosines(test, z[is_test])
    return linear, nearest, cosine


def _erased(z: Double, codes: Codes, pairs: Vector | None, eraser: Any, fits: Mask) -> Double:
    options = {}
    if pairs is not None and has_fit_parameter(eraser, "pairs"):
        options["pairs"] = np.asarray(pairs)[fits]
    edited: Double = clone(eraser).fit(z[fits], codes[fits], **options).transform(z)
    center = edited.mean(axis=0)
    if np.abs(edited - center).max() <= _NOTHING * np.abs(z).max():
        # the whole space is gone, and a probe would read the groups off the rounding of the rest
        return np.tile(center, (len(z), 1))
    return edited


def _linear_probe(train: Double, test: Double, codes: Codes) -> Codes:
    """Name the groups of ``test`` by the linear discriminant of ``train``.

    A least-squares fit of indicators would mask a group whose mean lies between two others'.
    """
    sizes = np.bincount(codes)
    seen = np.flatnonzero(sizes)
    means = np.stack([train[codes == group].mean(axis=0) for group in seen])
    within = train - means[np.searchsorted(seen, codes)]
    if within.any():
        shrinkage = float(ledoit_wolf_shrinkage(within, assume_centered=True))
        weights = solve_covariance(within, means.T, shrinkage=shrinkage)
    else:  # every group is one point
        weights = means.T
    offsets = np.log(sizes[seen] / len(train)) - 0.5 * (means.T * weights).sum(axis=0)
    named: Codes = seen[(test @ weights + offsets).argmax(axis=1)]
    return named


def _slots(labels: dict[str, Codes], pairs: Vector | None, *, n_slots: int, seed: int) -> Codes:
    """Deal the rows to slots, pairs whole, so that every label is spread over them evenly."""
    n = len(labels[_GROUP])
    units = np.arange(n)
    if pairs is not None:
        pairs = np.asarray(pairs)
        units = np.where(pairs >= 0, pairs, units + 1 + pairs.max(initial=0))
    _, first, units = np.unique(units, return_index=True, return_inverse=True)
    chance = np.random.default_rng(seed).permutation(len(first))
    order = np.lexsort([chance, *(codes[first] for codes in reversed(labels.values()))])
    slots = np.empty(len(first), dtype=np.intp)
    slots[order] = np.arange(len(first)) % n_slots
    return slots[units]


def _check_folds(codes: Codes) -> None:
    if (smallest := int(np.bincount(codes).min())) < 2 * _N_FOLDS:
        raise DataError(
            f"the smallest group has {smallest} rows; needed {2 * _N_FOLDS} for {_N_FOLDS} folds "
            "of two halves: add rows"
        )


def _cosines(rows: Double, others: Double) -> Double:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
    found: Double = np.divide(
        (rows * others).sum(axis=1), lengths, out=np.zeros(len(rows)), where=lengths > 0
    )
    return found


def _chance(codes: Codes) -> float:
    return float(np.bincount(codes).max() / len(codes))
