"""Make one method's row: build it, time it, generate its images, and measure them."""

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
from probe.images.plan import METADATA, GenerationPlan
from probe.io.artifacts import (
    hash_parts,
    read_json,
    read_table,
    read_tensors,
    write_json,
    write_table,
    write_tensors,
)
from probe.run.compare.material import REFERENCE, TRIAL, Bench, reference_plan
from probe.run.compare.methods import BASE, all_methods
from probe.run.evaluation import evaluators
from probe.run.evaluation.looking import look_with
from probe.run.folder import stale_files
from probe.run.images import make_images

LABELS, FEATURES, ROW = "labels.parquet", "features.safetensors", "method.json"
N_TIMED = 8
"""Images of neutral prompts that are timed at once."""
N_REPEATS = 3


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen in the images of a method."""

    labels: pd.DataFrame
    """One row an image: the plan's columns, ``key``, ``split``, what the classifier sees, and
    ``clip_score`` against the prompt that was asked for."""
    features: Float32
    """CLIP's embedding of each, shape (n_images, n_features), of length ``sqrt(n_features)``."""
    row: dict[str, Any]
    """What the method cost."""


def row_made_from(bench: Bench, name: str) -> str:
    """Hash of everything that a method's images, or those of the reference, are made from."""
    if name == REFERENCE:
        return hash_parts(REFERENCE, bench.made_from)
    return hash_parts(
        "method and costs", name, bench.made_from, all_methods()[name].made_from(bench.run)
    )


def stale_row(bench: Bench, name: str) -> str | None:
    """Say why a method is to be made anew; None if it is not."""
    folder = bench.folder(name).relative_to(bench.run.folder).as_posix()
    files = (f"{folder}/{of}" for of in (LABELS, FEATURES, ROW))
    return stale_files(bench.run, row_made_from(bench, name), *files)


def read_row(bench: Bench, name: str) -> Seen:
    """Read what was seen in a method's images."""
    folder = bench.folder(name)
    labels, _ = read_table(folder / LABELS, kind="labels")
    arrays, _ = read_tensors(folder / FEATURES, kind="features")
    row, _ = read_json(folder / ROW, kind="method")
    return Seen(labels, arrays["clip"], row)


def make_row(bench: Bench, name: str) -> None:
    """Generate and measure the images of a method, or of the reference; the row is written last."""
    row: dict[str, Any] = {}
    if name == REFERENCE:
        plan = reference_plan(bench.plan, seed=bench.run.config.generate.seed)
        table = _generate(bench, plan, bench.folder(name), label="images to compare with")
    else:
        table, row = _make_method(bench, name)
    run, folder, made_from = bench.run, bench.folder(name), row_made_from(bench, name)
    table = table.assign(split=table["subject"].map(run.lexicon.split_of))
    seen, features = _look(bench, name, table)
    labels = pd.concat([table, seen], axis=1)
    write_table(folder / LABELS, labels, run.provenance("labels", made_from))
    write_tensors(folder / FEATURES, {"clip": features}, run.provenance("features", made_from))
    write_json(folder / ROW, row, run.provenance("method", made_from))


def _make_method(bench: Bench, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Generate a method's images; return their metadata, and what the method cost."""
    _ = bench.pipeline, bench.encoder, bench.classifier, bench.clip  # not to be timed
    entry, start = all_methods()[name], time.perf_counter()
    method = entry.build(bench)
    seconds = time.perf_counter() - start if method.n_trainable else 0.0
    shutil.rmtree(bench.folder(name) / TRIAL, ignore_errors=True)
    row = {
        "words": method.words,
        "oracle": method.oracle,
        "n_trainable": method.n_trainable,
        "n_examples": method.n_examples,
        "train_seconds": seconds if entry.is_trained else None,
        "chosen": dict(method.chosen),
        "seconds_per_image": _time_images(bench, method.intervention),
    }
    folder = bench.run.folder / "images"
    reuse = [folder / "base"] if name == BASE else [bench.folder(BASE), folder / "moesd"]
    table = _generate(
        bench,
        bench.plan,
        bench.folder(name),
        intervention=method.intervention,
        reuse=[path for path in reuse if (path / METADATA).is_file()],
        label=f"images of {name}",
    )
    return table, row


def _generate(bench: Bench, plan: GenerationPlan, folder: Path, **options: Any) -> pd.DataFrame:
    options = {"known": bench.known, **options}
    return make_images(bench.run, bench.pipeline, plan, folder, **options)


def _time_images(bench: Bench, intervention: Intervention) -> dict[str, float]:
    """Seconds an image, encoding and writing included: median, shortest and longest of a few."""
    neutral = bench.plan.table[bench.plan.table["kind"] == "neutral"]
    rows = np.linspace(0, len(neutral) - 1, min(N_TIMED, len(neutral))).astype(int)
    plan = GenerationPlan(neutral.iloc[rows].reset_index(drop=True))
    found = []
    for _ in range(N_REPEATS):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            start = time.perf_counter()
            _generate(bench, plan, Path(folder), intervention=intervention, known=None)
            found.append((time.perf_counter() - start) / len(plan))
    return {"value": float(np.median(found)), "low": min(found), "high": max(found)}


def _look(bench: Bench, name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, Float32]:
    """Label, score and embed images; those that are the base model's are looked up."""
    # The same image may have been asked for by other words, which change its CLIP score.
    base, known = None, {}
    if name not in (BASE, REFERENCE) and stale_row(bench, BASE) is None:
        base = read_row(bench, BASE)
        pairs = zip(base.labels["key"], base.labels["prompt"], strict=True)
        known = {pair: row for row, pair in enumerate(pairs)}
    asked = zip(table["key"], table["prompt"], strict=True)
    rows = np.array([known.get(pair, -1) for pair in asked])
    parts, features = [], []
    if len(new := table[rows < 0]):
        files = [bench.folder(name) / of for of in new["file_name"]]
        seen = evaluators.look_at(
            bench.run, files, new["prompt"].tolist(), lambda: (bench.classifier, bench.clip)
        )
        parts.append(seen.set_index(new.index))
        embedded = np.concatenate(look_with(bench.run, "clip", files, bench.clip.embed))
        features.append(np.sqrt(embedded.shape[1]) * embedded)
    if base is not None and (rows >= 0).any():
        found = rows[rows >= 0]
        columns = [column for column in base.labels if column not in table]
        parts.append(base.labels.loc[found, columns].set_index(table.index[rows >= 0]))
        features.append(base.features[found])
    order = np.argsort(np.concatenate([np.flatnonzero(rows < 0), np.flatnonzero(rows >= 0)]))
    stacked: Float32 = np.concatenate(features)[order].astype(np.float32)
    return pd.concat(parts).loc[table.index, parts[0].columns], stacked
