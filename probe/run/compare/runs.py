"""Compare runs: the same subjects by different models or settings, as paired differences."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Counts
from probe.audit.fairness import fairness_figures, paired_difference
from probe.errors import DataError, OptionError
from probe.io.artifacts import read_json, read_table
from probe.run.evaluation.measurement import SIDES, SPLITS
from probe.run.files import QUALITY, SHARES
from probe.stats.multiplicity import holm
from probe.stats.resampling import BOOTSTRAP, Resampling

Found = dict[str, Any]
UNIT = "occupations"


def compare_runs(folders: Sequence[str | Path], *, resampling: Resampling = BOOTSTRAP) -> Found:
    """Compare the fairness of evaluated runs, each with each, on the subjects that all share.

    ``runs``: MAD of each side and split on the shared subjects, with interval and noise floor.
    ``differences``: for each pair of runs, side and split, the paired difference of MAD (negative:
    the second is fairer) with ``p`` and ``p_holm``, adjusted over all differences. ``missing``: by
    run, the subjects of others that it does not have. A subject counts
    for a split if it is of that split in all runs.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise OptionError(f"got {len(paths)} runs; needed at least 2, each once")
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        names = [path.as_posix() for path in paths]
    qualities = [read_json(path / QUALITY, kind="quality")[0] for path in paths]
    if len(kinds := {(of["attribute"], of["value"]) for of in qualities}) > 1:
        raise DataError(f"the runs are about {sorted(kinds)}; needed one attribute: evaluate again")
    attribute = str(qualities[0]["attribute"])
    tables = [_shares(path, attribute) for path in paths]
    shared, missing = _subjects(dict(zip(names, tables, strict=True)))
    by_run = [of.drop_duplicates("subject").set_index("subject")["split"] for of in tables]
    splits = by_run[0].loc[shared]
    for other in by_run[1:]:  # a subject that a run was trained on is new to none of them
        splits = splits.where(splits == other.loc[shared], "")
    counted = [_counts(table, shared, splits) for table in tables]
    runs = []
    for name, counts, quality in zip(names, counted, qualities, strict=True):
        figures: Found = {side: {} for side in SIDES.values()}
        for (side, split), of in counts.items():
            found = fairness_figures(of, resampling=resampling, unit=UNIT)["mad"]
            figures[side][split] = asdict(found)
        runs.append({"name": name, "model": quality["model"], **figures})
    pairs = list(combinations(zip(names, counted, strict=True), 2))
    enough = resampling.for_tests(len(pairs) * max(map(len, counted)))
    differences = []
    for (first, before), (second, after) in pairs:
        for (side, split), of in before.items():
            change = paired_difference(of, after[side, split], resampling=enough, unit=UNIT)
            about = {"first": first, "second": second, "side": side, "split": split}
            differences.append({**about, **asdict(change)})
    adjusted = holm(np.array([of["p"] for of in differences]))
    return {
        "runs": runs,
        "differences": [
            {**of, "p_holm": float(p)} for of, p in zip(differences, adjusted, strict=True)
        ],
        "missing": missing,
        "n_subjects": len(shared),
        "attribute": attribute,
    }


def _shares(path: Path, attribute: str) -> pd.DataFrame:
    table, _ = read_table(path / SHARES, kind="shares")
    return table[table["attribute"] == attribute]


def _subjects(tables: dict[str, pd.DataFrame]) -> tuple[list[str], dict[str, list[str]]]:
    """The subjects that all runs have on both sides, and by run those that only others have."""
    if len(known := {tuple(sorted(set(of["value"]))) for of in tables.values()}) > 1:
        text = "; ".join(", ".join(values) for values in sorted(known))
        raise DataError(
            f"the runs know the attribute as {text}; needed the same values: evaluate with one "
            "classifier"
        )
    counts = {
        name: table.groupby("subject", sort=False)["side"].nunique()
        for name, table in tables.items()
    }
    whole = {name: [str(one) for one in n.index[n == len(SIDES)]] for name, n in counts.items()}
    everything = list(dict.fromkeys(subject for of in whole.values() for subject in of))
    missing = {name: [one for one in everything if one not in of] for name, of in whole.items()}
    shared = [one for one in everything if all(one in of for of in whole.values())]
    if len(shared) < 2:
        raise DataError(
            f"the runs share {len(shared)} subjects; needed at least 2: give them one lexicon"
        )
    return shared, missing


def _counts(
    table: pd.DataFrame, subjects: list[str], splits: pd.Series
) -> dict[tuple[str, str], Counts]:
    """Images of each shared subject by value, (n_subjects, n_values), by side and split."""
    found = {}
    for side, name in SIDES.items():
        rows = table[table["side"] == side]
        counts = rows.pivot(index="subject", columns="value", values="count").loc[subjects]
        for split in SPLITS:
            is_kept = (splits.loc[counts.index] == split) | (split == "all")
            if is_kept.any():
                found[name, split] = counts[is_kept].to_numpy(dtype=np.int64)
    return found
