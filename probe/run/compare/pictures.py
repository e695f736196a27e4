"""Make one method's row: build it, time it, make its pictures, and look at them."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Float32
from probe.images.intervention import Intervention
from probe.images.plan import GenerationPlan
from probe.io.artifacts import (
    hash_parts,
    read_json,
    read_table,
    read_tensors,
    write_json,
    write_table,
    write_tensors,
)
from probe.run.compare.material import REFERENCE, Bench, reference_plan
from probe.run.compare.methods import BASE, all_methods
from probe.run.evaluation import evaluators
from probe.run.evaluation.labels import subjects_by_clip
from probe.run.folder import stale_files

LABELS, FEATURES, ROW = "labels.parquet", "features.safetensors", "method.json"
N_TIMED = 8
"""Pictures that are timed at once, of neutral prompts."""
N_REPEATS = 3


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen in the pictures of a method."""

    labels: pd.DataFrame
    """One row a picture: the plan's columns, ``key``, ``split``, what the classifier sees, and
    ``clip_score`` against the prompt that was asked for."""
    features: Float32
    """CLIP's embedding of each, shape (n_pictures, n_features), of length ``sqrt(n_features)``."""
    row: dict[str, Any]
    """What the method cost."""


def row_made_from(bench: Bench, name: str) -> str:
    """Hash of everything that a method's pictures are made from."""
    return hash_parts(
        "method",
        name,
        bench.made_from,
        all_methods()[name].made_from(bench.run),
    )


def stale_row(bench: Bench, name: str) -> str | None:
    """Say why a method is to be made anew; None if it is not."""
    made_from = _reference_made_from(bench) if name == REFERENCE else row_made_from(bench, name)
    folder = bench.folder(name).relative_to(bench.run.folder).as_posix()
    return stale_files(bench.run, made_from, *(f"{folder}/{of}" for of in (LABELS, FEATURES, ROW)))


def read_row(bench: Bench, name: str) -> Seen:
    """Read what was seen in a method's pictures."""
    folder = bench.folder(name)
    labels, _ = read_table(folder / LABELS, kind="labels")
    arrays, _ = read_tensors(folder / FEATURES, kind="features")
    row, _ = read_json(folder / ROW, kind="method")
    return Seen(labels, arrays["clip"], row)


def make_row(bench: Bench, name: str) -> None:
    """Make a method and its pictures; what it left when it was interrupted is used."""
    bench.open_models()  # which is no part of any method
    start = time.perf_counter()
    method = all_methods()[name].build(bench)
    seconds = time.perf_counter() - start if method.n_trainable else 0.0
    bench.clean(name)
    row = {
        "n_trainable": method.n_trainable,
        "train_seconds": seconds if all_methods()[name].is_trained else None,
        "chosen": dict(method.chosen),
        "seconds_per_image": time_pictures(bench, method.intervention),
    }
    run = bench.run
    reuse = bench.folder(BASE) if name != BASE else run.folder / "images" / "base"
    table = bench.make(
        bench.plan,
        bench.folder(name),
        method.intervention,
        reuse=reuse if (reuse / "metadata.jsonl").is_file() else None,
        known=bench.known,
        label=f"pictures of {name}",
    )
    _keep(bench, name, table, row, row_made_from(bench, name))


def make_reference(bench: Bench) -> None:
    """Make the pictures that all are compared with; see `reference_plan`."""
    plan = reference_plan(bench.plan, seed=bench.run.config.generate.seed)
    folder, label = bench.folder(REFERENCE), "pictures to compare with"
    table = bench.make(plan, folder, None, known=bench.known, label=label)
    _keep(bench, REFERENCE, table, {}, _reference_made_from(bench))


def time_pictures(bench: Bench, intervention: Intervention) -> dict[str, float]:
    """Time a batch of neutral pictures; the median of a few times, the shortest and the longest.

    Returns
    -------
    dict of str to float
        ``value, low, high`` in seconds a picture, encoding and writing included.
    """
    neutral = bench.plan.table[bench.plan.table["kind"] == "neutral"]
    rows = np.linspace(0, len(neutral) - 1, min(N_TIMED, len(neutral))).astype(int)
    plan = GenerationPlan(neutral.iloc[rows].reset_index(drop=True))
    found = []
    for _ in range(N_REPEATS):
        folder = Path(tempfile.mkdtemp())
        try:
            start = time.perf_counter()
            bench.make(plan, folder, intervention)
            found.append((time.perf_counter() - start) / len(plan))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return {"value": float(np.median(found)), "low": min(found), "high": max(found)}


def _keep(
    bench: Bench, name: str, table: pd.DataFrame, row: dict[str, Any], made_from: str
) -> None:
    """Look at the pictures, and write what was seen, the row last."""
    run, folder = bench.run, bench.folder(name)
    jobs = run.lexicon.occupations
    split = {job.name: "held_out" if job.held_out else "trained" for job in jobs}
    table = table.assign(split=table["subject"].map(split).fillna(""))
    seen, features = _look(bench, name, table)
    provenance = run.provenance("labels", made_from)
    write_table(folder / LABELS, pd.concat([table, seen], axis=1), provenance)
    write_tensors(folder / FEATURES, {"clip": features}, run.provenance("features", made_from))
    write_json(folder / ROW, row, run.provenance("method", made_from))


def _look(bench: Bench, name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, Float32]:
    """What is seen in each picture; those that are the base model's are not looked at again."""
    columns: list[str] = []
    # The same picture may have been asked for by other words, which change its CLIP score.
    asked = list(zip(table["key"], table["prompt"], strict=True))
    known: dict[tuple[str, str], int] = {}
    if name not in (BASE, REFERENCE) and stale_row(bench, BASE) is None:
        base = read_row(bench, BASE)
        pairs = zip(base.labels["key"], base.labels["prompt"], strict=True)
        known = {pair: row for row, pair in enumerate(pairs)}
    is_known = np.array([pair in known for pair in asked])
    new = table[~is_known]
    parts, features = [], []
    if len(new):
        files = [bench.folder(name) / of for of in new["file_name"]]
        seen = bench.classifier.label(files).rename(columns=evaluators.column)
        if evaluators.SUBJECT not in bench.classifier.attributes:
            seen[evaluators.SUBJECT_SEEN] = subjects_by_clip(bench.run, files, bench.clip)
        seen["clip_score"] = bench.clip.score(files, new["prompt"].tolist())
        parts.append(seen.set_index(new.index))
        embedded = bench.clip.embed(files)
        features.append(np.sqrt(embedded.shape[1]) * embedded)
        columns = list(seen.columns)
    if is_known.any():
        rows = [known[pair] for pair in asked if pair in known]
        columns = columns or [c for c in base.labels.columns if c not in table.columns]
        parts.append(base.labels[columns].iloc[rows].set_index(table.index[is_known]))
        features.append(base.features[rows])
    order = np.argsort(np.concatenate([np.flatnonzero(~is_known), np.flatnonzero(is_known)]))
    stacked: Float32 = np.concatenate(features)[order].astype(np.float32)
    return pd.concat(parts).loc[table.index, columns], stacked


def _reference_made_from(bench: Bench) -> str:
    return hash_parts(REFERENCE, bench.made_from)
