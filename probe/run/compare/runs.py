"""Compare runs: the same subjects by different models or settings, as paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.audit.fairness import fairness_figures, paired_difference
from probe.errors import DataError, OptionError
from probe.io.artifacts import read_json, read_table
from probe.run.evaluation.measurement import SIDES, SPLITS
from probe.run.files import QUALITY, SHARES
from probe.stats.resampling import BOOTSTRAP, Resampling

Found = dict[str, Any]
Counts = dict[tuple[str, str], npt.NDArray[np.integer]]
"""By side and split, pictures of each shared subject by value, (n_subjects, n_values)."""


@dataclass(frozen=True)
class RunsResult:
    """What ``compare runs`` found."""

    figures: Found

    def to_json(self) -> Found:
        """Every figure."""
        return self.figures


def compare_runs(
    folders: Sequence[str | Path], *, resampling: Resampling = BOOTSTRAP
) -> RunsResult:
    """Compare the fairness of evaluated runs, each with each, on the subjects that all share.

    Parameters
    ----------
    folders : sequence of path
        At least 2 run folders that have been evaluated.
    resampling : Resampling

    Returns
    -------
    RunsResult
        ``runs``: MAD of each side and split on the shared subjects, with interval and noise floor.
        ``differences``: for each pair of runs, side and split, ``value, low, high`` of
        `probe.audit.fairness.paired_difference` (negative: the second is fairer), its
        ``p``, and ``p_holm``, adjusted over all differences. ``missing``: by run, the subjects of
        others that it does not have. Splits are those of the first run.

    Raises
    ------
    ValueError
        If there are fewer than 2 folders, or one twice.
    ArtifactError
        If a run has not been evaluated.
    DataError
        If the runs are about different attributes or values, or share fewer than 2 subjects.
    """
    from probe.stats.multiplicity import holm

    paths = [Path(folder) for folder in folders]
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise OptionError(f"got {len(paths)} runs; needed at least 2, each once")
    names = _names(paths)
    qualities = [read_json(path / QUALITY, kind="quality")[0] for path in paths]
    if len(kinds := {(of["attribute"], of["value"]) for of in qualities}) > 1:
        raise DataError(f"the runs are about {sorted(kinds)}; needed one attribute: evaluate again")
    attribute = str(qualities[0]["attribute"])
    tables = [_shares(path, attribute) for path in paths]
    if len(known := {tuple(sorted(set(of["value"]))) for of in tables}) > 1:
        text = "; ".join(", ".join(values) for values in sorted(known))
        raise DataError(
            f"the runs know {attribute} as {text}; needed the same values: evaluate with one "
            "classifier"
        )
    shared, missing = _subjects(dict(zip(names, tables, strict=True)))
    splits = tables[0].drop_duplicates("subject").set_index("subject")["split"]
    counted = [_counts(table, shared, splits) for table in tables]
    runs = []
    for name, counts, quality in zip(names, counted, qualities, strict=True):
        figures: Found = {side: {} for side in SIDES.values()}
        for (side, split), of in counts.items():
            found = fairness_figures(of, resampling=resampling, unit="occupations")["mad"]
            figures[side][split] = asdict(found)
        runs.append({"name": name, "model": quality["model"], **figures})
    differences: list[Found] = []
    n_tests = len(paths) * (len(paths) - 1) // 2 * max(map(len, counted))
    for first, second in combinations(range(len(paths)), 2):
        for (side, split), of in counted[first].items():
            change = paired_difference(
                of,
                counted[second][side, split],
                resampling=resampling.for_tests(n_tests),
                unit="occupations",
            )
            about = {"first": names[first], "second": names[second], "side": side, "split": split}
            differences.append({**about, **asdict(change)})
    adjusted = holm(np.array([of["p"] for of in differences]))
    return RunsResult(
        {
            "runs": runs,
            "differences": [
                {**of, "p_holm": float(p)} for of, p in zip(differences, adjusted, strict=True)
            ],
            "missing": missing,
            "n_subjects": len(shared),
            "attribute": attribute,
        }
    )


def _shares(path: Path, attribute: str) -> pd.DataFrame:
    table, _ = read_table(path / SHARES, kind="shares")
    return table[table["attribute"] == attribute]


def _subjects(tables: Mapping[str, pd.DataFrame]) -> tuple[list[str], dict[str, list[str]]]:
    """The subjects that all runs have, and by run those of others that it does not have."""
    known = {name: _on_both_sides(table) for name, table in tables.items()}
    everything = list(dict.fromkeys(subject for of in known.values() for subject in of))
    missing = {name: [one for one in everything if one not in of] for name, of in known.items()}
    shared = [one for one in everything if all(one in of for of in known.values())]
    if len(shared) < 2:
        raise DataError(
            f"the runs share {len(shared)} subjects; needed at least 2: give them one lexicon"
        )
    return shared, missing


def _on_both_sides(table: pd.DataFrame) -> list[str]:
    sides = table.groupby("subject", sort=False)["side"].nunique()
    return [str(one) for one in sides.index[sides == len(SIDES)]]


def _counts(table: pd.DataFrame, subjects: Sequence[str], splits: pd.Series) -> Counts:
    found: Counts = {}
    for side, name in SIDES.items():
        rows = table[table["side"] == side]
        counts = rows.pivot(index="subject", columns="value", values="count").loc[list(subjects)]
        for split in SPLITS:
            is_kept = (splits.loc[counts.index] == split) | (split == "all")
            if is_kept.any():
                found[name, split] = counts[is_kept].to_numpy(dtype=np.int64)
    return found


def _names(paths: Sequence[Path]) -> list[str]:
    """Call each run by its folder's name, or by its whole path where two are alike."""
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [path.as_posix() for path in paths]
