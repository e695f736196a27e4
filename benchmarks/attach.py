"""Cost of an attached correction: `python benchmarks/attach.py [--json]`.

One image is generated repeatedly, in turn by the plain pipeline and by the same pipeline with a
correction attached (gate, token and experts on the text states). `--full-size` instead compares one
correction with one pass of a U-Net, both of Stable Diffusion v1.5's shape with random weights.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import torch

from probe import CalibratedProjection, Lexicon, MoESD, PairDirection, PromptSet, TextEncoder
from probe.images.pipelines import generation_settings, load_pipeline
from probe.moesd.config import TrainConfig
from probe.moesd.experts import Experts
from probe.moesd.gate import Gate, KindClassifier, count_features
from probe.moesd.token import SpecialToken
from probe.moesd.training import train_moesd
from probe.text.checkpoints import resolve_model

Vector = npt.NDArray[np.float64]

CLOCKS = {"": time.perf_counter, "cpu_": time.process_time}


@click.command()
@click.option("--model", default="tinytown", show_default=True, help="As for `moesd-probe embed`.")
@click.option("--prompt", default="a photo of a mechanic", show_default=True)
@click.option("--n-steps", default=20, show_default=True, help="Denoising steps of an image.")
@click.option("--n-repeats", default=30, show_default=True, help="Images per pipeline.")
@click.option("--full-size", is_flag=True, help="Stable Diffusion v1.5's shape; takes 5 GB.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    model: str, prompt: str, n_steps: int, n_repeats: int, full_size: bool, as_json: bool
) -> None:
    """Measure the time that the correction adds, as a share of an image's time."""
    if full_size:
        click.echo(json.dumps(compare_full_size(prompt, n_steps), indent=2))
        return
    found = compare(model, prompt, n_steps, n_repeats)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{model}, {n_steps} steps, gate {'open' if found['gate_opens'] else 'closed'}")
    for way in ("plain", "attached"):
        click.echo(f"{way:<9} {1000 * found[f'seconds_{way}']:.1f} ms per image")
    for name in [clock + of for of in ("overhead", "correction") for clock in CLOCKS]:
        share, low, high = (found[f"{name}_{of}"] for of in ("share", "low", "high"))
        click.echo(
            f"{name:<15} {share:+.2%} (95 % interval {low:+.2%} to {high:+.2%}, n = {n_repeats})"
        )


def compare(model: str, prompt: str, n_steps: int, n_repeats: int) -> dict[str, Any]:
    """Generate the image in turn, in wall-clock and processor seconds."""
    moesd, pipeline = _train(model), load_pipeline(model)
    scale = generation_settings(resolve_model(model)).guidance_scale

    def draw() -> None:
        generator = torch.Generator().manual_seed(0)
        pipeline(prompt, num_inference_steps=n_steps, guidance_scale=scale, generator=generator)

    @torch.no_grad()
    def encode() -> None:
        pipeline.encode_prompt(prompt, pipeline.device, 1, False)

    seconds: dict[str, list[float]] = {
        clock + way: [] for way in ("plain", "attached", "correction") for clock in CLOCKS
    }
    for repeat in range(-2, n_repeats):  # the first two warm up
        taken = {"plain": _timed(draw)}
        with moesd.attach(pipeline):
            taken["attached"] = _timed(draw)
            corrected = _timed(encode)
        encoded = _timed(encode)
        taken["correction"] = {clock: corrected[clock] - encoded[clock] for clock in CLOCKS}
        for way, times in taken.items():
            for clock in CLOCKS if repeat >= 0 else ():
                seconds[clock + way].append(times[clock])
    found: dict[str, Any] = {
        "machine": _machine(),
        "model": model,
        "n_steps": n_steps,
        "n_repeats": n_repeats,
        "gate_opens": moesd.explain(prompt)["expert"] != "base",
        "seconds_plain": statistics.median(seconds["plain"]),
        "seconds_attached": statistics.median(seconds["attached"]),
    }
    for clock in CLOCKS:
        plain = np.array(seconds[f"{clock}plain"])
        # The difference of two images is noisy; the correction alone is measured more precisely.
        added = seconds[f"{clock}attached"] - plain
        found |= _share(f"{clock}overhead", added, plain)
        found |= _share(f"{clock}correction", np.array(seconds[f"{clock}correction"]), plain)
    return found


@torch.no_grad()
def compare_full_size(prompt: str, n_steps: int, n_repeats: int = 3) -> dict[str, Any]:
    """Compare the correction of one prompt with the U-Net passes of one guided image.

    The decoder is not included, so the share is slightly too large.
    """
    from diffusers import UNet2DConditionModel
    from embed import make_encoder

    encoder = make_encoder(None)
    moesd = _random_correction(encoder, prompt)
    unet = UNet2DConditionModel(
        sample_size=64, cross_attention_dim=encoder.n_features, attention_head_dim=8
    ).eval()  # diffusers' defaults are Stable Diffusion v1.5's for the rest
    states = encoder.states([prompt])
    rows = torch.randn(2, 4, 64, 64), torch.tensor(500), states.repeat(2, 1, 1)
    works = {
        "correction": lambda: _correct(moesd, prompt),
        "unet_pass": lambda: unet(*rows),
    }
    seconds: dict[str, list[float]] = {clock + work: [] for work in works for clock in CLOCKS}
    for repeat in range(n_repeats + 1):  # the first one warms up
        for name, work in works.items():
            taken = _timed(work)
            for clock in CLOCKS if repeat else ():
                seconds[clock + name].append(taken[clock])
    found: dict[str, Any] = {
        "machine": _machine(),
        "shape": "Stable Diffusion v1.5, random weights, 64 x 64 latents",
        "unet_weights": unet.num_parameters(),
        "n_steps": n_steps,
        "n_repeats": n_repeats,
        "gate_opens": bool(moesd.opened([prompt])),
    }
    found |= {f"{name}_seconds": statistics.median(taken) for name, taken in seconds.items()}
    for clock in CLOCKS:
        pairs = zip(seconds[f"{clock}correction"], seconds[f"{clock}unet_pass"], strict=True)
        shares = [ours / (n_steps * theirs) for ours, theirs in pairs]
        found[f"{clock}overhead_share"] = statistics.median(shares)
        found[f"{clock}overhead_rounds"] = f"{min(shares):.2g} to {max(shares):.2g}"
    return found


def _correct(moesd: MoESD, prompt: str) -> None:
    """Run the steps that an attached correction adds to the encoding of a prompt."""
    z = moesd.encoder.embed([prompt])
    moesd.encode_weighted([prompt], moesd.decide([prompt], z).weights)


def _random_correction(encoder: TextEncoder, prompt: str) -> MoESD:
    """Create a correction whose gate has the inputs of a trained one and opens for every prompt."""
    n_layers = int(encoder.model.config.num_hidden_layers)
    n_read = count_features(
        "words", has_list=True, n_features=encoder.n_features, n_layers=n_layers
    )
    classifier = KindClassifier(np.zeros((3, n_read)), np.array([0.0, 9.0, 0.0]), temperature=1.0)
    gate = Gate(
        axis=np.full(encoder.n_features, 0.1),
        midpoint=9.0,
        neutral_below=0.0,
        explicit_above=99.0,
        classifier=classifier,
        reads="words",
        has_list=True,
    )
    subjects = tuple(job.name for job in Lexicon.load().occupations)
    return MoESD(
        encoder, SpecialToken.start(encoder, subjects), Experts(encoder.n_features, width=256), gate
    )


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _train(model: str) -> MoESD:
    """Train a correction with the latent objective; its quality does not matter here."""
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


def _timed(work: Callable[[], Any]) -> dict[str, float]:
    begun = {clock: now() for clock, now in CLOCKS.items()}
    work()
    return {clock: now() - begun[clock] for clock, now in CLOCKS.items()}


def _share(name: str, added: Vector, plain: Vector) -> dict[str, float]:
    """Return the median added time over an image's median time, with a bootstrap interval."""
    draws = np.random.default_rng(0).choice(added, (2000, len(added)))
    resampled = np.median(draws, axis=1) / np.median(plain)
    return {
        f"{name}_share": float(np.median(added) / np.median(plain)),
        f"{name}_low": float(np.quantile(resampled, 0.025)),
        f"{name}_high": float(np.quantile(resampled, 0.975)),
    }


if __name__ == "__main__":
    main()
