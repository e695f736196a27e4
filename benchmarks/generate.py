"""Speed of image generation against a lower bound: `python benchmarks/generate.py [--json]`.

Each round generates the same images three times, in turn: by `generate`, with its files, keys and
metadata; by the plain diffusers pipeline, called with lists of prompts and generators at the same
batch size, with its images saved; and, for Stable Diffusion 1 and 2, as the bare passes of U-Net
and VAE, without files. On a GPU: ``--device cuda --dtype float16``.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from scipy import stats

from probe.images import denoising
from probe.images.cpu_workers import CpuWorkers
from probe.images.generation import GenerationPlan, generate
from probe.images.guidance_cache import guidance_cache
from probe.images.models.lookup import image_model
from probe.images.models.stable_diffusion import StableDiffusion
from probe.images.pipelines import GenerationSettings, generation_settings, load_pipeline
from probe.text.checkpoints import resolve_model
from probe.text.lexicon import Lexicon

CLOCKS = {"": time.perf_counter, "cpu_": time.process_time}
BOUNDS = {"speedup_pipeline": 1.2, "share_of_limit": 0.9}
"""Lower bounds for an idle machine."""


@click.command()
@click.option("--model", default="tinytown", show_default=True, help="As for `moesd-probe embed`.")
@click.option("--device", default="cpu", show_default=True, help="Where images are made.")
@click.option("--dtype", default="auto", show_default=True, help="As for `moesd-probe generate`.")
@click.option("--n-images", default=16, show_default=True, help="Neutral images per subject.")
@click.option("--subjects", default=10, show_default=True, help="Occupations of the plan.")
@click.option("--n-steps", default=0, show_default=True, help="0: the default of the model.")
@click.option("--batch-size", default=0, show_default=True, help="0: the choice of `generate`.")
@click.option("--rounds", default=5, show_default=True, help="At least 2.")
@click.option("--threads", default=2, show_default=True, help="Cores to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(model: str, device: str, dtype: str, threads: int, as_json: bool, **sizes: int) -> None:
    """Measure the speed of `generate` relative to the plain pipeline and to the bare passes."""
    torch.set_num_threads(threads)
    pipeline = load_pipeline(model, device=device, dtype=dtype)
    found = {
        "model": model,
        **compare(pipeline, generation_settings(resolve_model(model)), **sizes),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<36} {f'{value:.4g}' if isinstance(value, float) else value}")


def compare(
    pipeline: Any,
    meant: GenerationSettings,
    *,
    n_images: int,
    subjects: int,
    n_steps: int,
    batch_size: int,
    rounds: int,
) -> dict[str, Any]:
    """Run the methods in turn, in another order each round."""
    device = image_model(pipeline).device
    n_steps = n_steps or meant.n_steps
    size = batch_size or denoising.largest_batch(pipeline, meant.guidance_scale)
    shipped = Lexicon.load()
    lexicon = replace(shipped, occupations=shipped.occupations[:subjects])
    plan = GenerationPlan.build(lexicon, n_images=n_images, seed=7)
    how = {"guidance_scale": meant.guidance_scale, "n_steps": n_steps}
    ways: dict[str, Callable[[GenerationPlan, Path], Any]] = {
        "generate": lambda plan, folder: generate(
            pipeline, plan, folder, batch_size=size, revision="benchmark", **how
        ),
        "pipeline": lambda plan, folder: plain(pipeline, plan, folder, size, **how),
    }
    if isinstance(image_model(pipeline), StableDiffusion):
        ways["limit"] = lambda plan, _: bare(pipeline, len(plan), size, **how)
    seconds: dict[str, list[float]] = {clock + way: [] for way in ways for clock in CLOCKS}
    names = list(ways)
    with tempfile.TemporaryDirectory() as root:
        for way, work in ways.items():  # warm up
            work(GenerationPlan(plan.table.head(2)), Path(root) / f"warm-{way}")
        for number in range(rounds):
            first = number % len(names)
            for way in names[first:] + names[:first]:
                folder = Path(root) / f"{number}-{way}"
                begun = {clock: now() for clock, now in CLOCKS.items()}
                ways[way](plan, folder)
                for clock, now in CLOCKS.items():
                    seconds[clock + way].append(now() - begun[clock])
        levels = difference(plan, Path(root) / "0-generate", Path(root) / "0-pipeline")
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "dtype": str(pipeline.dtype),
        "pictures": len(plan),
        "prompts": int(plan.table["prompt"].nunique()),
        "batch_size": size,
        "n_steps": n_steps,
        "guidance_scale": meant.guidance_scale,
        "rounds": rounds,
        "largest_difference_levels": levels,
        "bounds": BOUNDS,
    }
    found |= {f"{way}_seconds": float(np.median(taken)) for way, taken in seconds.items()}
    found["pictures_per_second"] = len(plan) / found["generate_seconds"]
    for clock in CLOCKS:
        ours = np.array(seconds[f"{clock}generate"])
        found |= spread(f"{clock}speedup_pipeline", seconds[f"{clock}pipeline"] / ours)
        if "limit" in ways:
            found |= spread(f"{clock}share_of_limit", seconds[f"{clock}limit"] / ours)
    return found


def plain(
    pipeline: Any,
    plan: GenerationPlan,
    folder: Path,
    size: int,
    guidance_scale: float,
    n_steps: int,
) -> None:
    """Generate the images with diffusers alone."""
    for start in range(0, len(plan), size):
        rows = plan.table.iloc[start : start + size]
        images = pipeline(
            prompt=rows["prompt"].tolist(),
            generator=[torch.Generator().manual_seed(int(seed)) for seed in rows["seed"]],
            guidance_scale=guidance_scale,
            num_inference_steps=n_steps,
            **image_model(pipeline).calling,
        ).images
        for name, image in zip(rows["file_name"], images, strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(folder / name)


def bare(pipeline: Any, n: int, size: int, guidance_scale: float, n_steps: int) -> None:
    """Run the passes of U-Net and VAE that n images need, on random numbers.

    They use the batches, CPU workers and caches of `generate`. Whole batches of the plain modules
    would be slower, and so no lower bound.
    """
    copies = 2 if guidance_scale > 1 else 1
    pipeline.scheduler.set_timesteps(n_steps)
    text = pipeline.text_encoder.config
    device, dtype = pipeline.unet.device, pipeline.unet.dtype
    like: dict[str, Any] = {"device": device, "dtype": dtype}
    streams = CpuWorkers(pipeline, len(denoising.denoised_together(min(n, size), device)))

    @torch.inference_mode()
    def passes(n_rows: int) -> None:
        unet, vae = streams.pipeline.unet, streams.pipeline.vae
        latents = torch.randn(n_rows, *image_model(pipeline).latent_shape, **like)
        rows = torch.cat([latents] * copies)
        shape = len(rows), text.max_position_embeddings, text.hidden_size
        states = torch.randn(*shape, **like)
        with guidance_cache(unet):
            for step in pipeline.scheduler.timesteps:
                unet(rows, step, encoder_hidden_states=states, return_dict=False)
        for part in denoising.decoded_together(n_rows, device):
            vae.decode(latents[part], return_dict=False)

    parts = [
        part.stop - part.start
        for start in range(0, n, size)
        for part in denoising.denoised_together(min(size, n - start), device)
    ]
    list(streams.run(partial(passes, n_rows) for n_rows in parts))
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def difference(plan: GenerationPlan, ours: Path, theirs: Path) -> int:
    """Return the largest difference of any pixel, of 255 levels; rounding may change it by 1."""
    pairs = (
        [np.asarray(Image.open(folder / name), dtype=int) for folder in (ours, theirs)]
        for name in plan.table["file_name"]
    )
    return max(int(np.abs(a - b).max()) for a, b in pairs)


def spread(name: str, ratios: np.ndarray) -> dict[str, Any]:
    """Return the geometric mean over the rounds, with Student's 95 % interval."""
    logs = np.log(ratios)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    mean, low, high = (float(np.exp(logs.mean() + by)) for by in (0, -half, half))
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


if __name__ == "__main__":
    main()
