"""What a correction costs a picture: `python benchmarks/attach.py [--json]`.

One picture is drawn again and again, in turn by the plain pipeline and by the same pipeline with
the gate, the token and the experts on the text states attached.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from typing import Any

import click
import numpy as np
import torch

from probe import CalibratedProjection, Lexicon, MoESD, PairDirection, PromptSet, TextEncoder
from probe.images.pipelines import generation_settings, load_pipeline
from probe.moesd.config import TrainConfig
from probe.moesd.training import train_moesd
from probe.text.checkpoints import resolve_model


@click.command()
@click.option("--model", default="tinytown", show_default=True, help="As for `moesd-probe embed`.")
@click.option("--prompt", default="a photo of a mechanic", show_default=True)
@click.option("--n-steps", default=20, show_default=True, help="Denoising steps of the picture.")
@click.option("--n-repeats", default=30, show_default=True, help="Pictures of each pipeline.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(model: str, prompt: str, n_steps: int, n_repeats: int, as_json: bool) -> None:
    """Measure the share of a picture's time that the correction adds."""
    moesd, pipeline = _train(model), load_pipeline(model)
    scale = generation_settings(resolve_model(model)).guidance_scale
    seconds: dict[str, list[float]] = {"plain": [], "attached": []}
    for repeat in range(-2, n_repeats):  # the first two warm up
        plain = _draw(pipeline, prompt, n_steps, scale)
        with moesd.attach(pipeline):
            attached = _draw(pipeline, prompt, n_steps, scale)
        if repeat >= 0:
            seconds["plain"].append(plain)
            seconds["attached"].append(attached)
    is_open = moesd.explain(prompt)["expert"] != "base"
    added = np.subtract(seconds["attached"], seconds["plain"])
    plain = statistics.median(seconds["plain"])
    rng = np.random.default_rng(0)
    resampled = np.median(rng.choice(added, (2000, n_repeats)), axis=1) / plain
    found: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads(),
                    "python": platform.python_version(), "torch": torch.__version__},
        "model": model,
        "n_steps": n_steps,
        "n_repeats": n_repeats,
        "gate_opens": is_open,
        "seconds_plain": plain,
        "seconds_attached": statistics.median(seconds["attached"]),
        "overhead_share": float(np.median(added)) / plain,
        "overhead_low": float(np.quantile(resampled, 0.025)),
        "overhead_high": float(np.quantile(resampled, 0.975)),
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{model}, {n_steps} steps, gate {'open' if is_open else 'closed'}")
    click.echo(f"plain     {1000 * plain:.1f} ms a picture")
    click.echo(
        f"attached  {1000 * found['seconds_attached']:.1f} ms, {found['overhead_share']:+.2%} "
        f"(95 % interval {found['overhead_low']:+.2%} to {found['overhead_high']:+.2%}, "
        f"n = {n_repeats})"
    )


def _train(model: str) -> MoESD:
    """Make a correction by the latent objective; how good it is makes no difference here."""
    encoder, prompts = TextEncoder.load(model), PromptSet.build(Lexicon.load())
    z = encoder.embed(prompts.prompts)
    male, female = (z[rows] for rows in prompts.pairs())
    made_by = {"concept": "gender", "encoder": encoder.id}
    return train_moesd(
        encoder,
        prompts,
        z,
        direction=PairDirection().fit(male, female).result(**made_by),
        projection=CalibratedProjection().fit(male, female),
        config=TrainConfig(objective="latent", latent_steps=5),
    )


def _draw(pipeline: Any, prompt: str, n_steps: int, scale: float) -> float:
    begun = time.perf_counter()
    pipeline(
        prompt,
        num_inference_steps=n_steps,
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(0),
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
