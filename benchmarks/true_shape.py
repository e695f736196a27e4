"""Time and memory of a run on a model of Stable Diffusion v1.5's shape with random weights.

``python benchmarks/true_shape.py FOLDER [--images] [--json]``. The model is made in FOLDER/model
(4.3 GB) unless it is there. The text side is that of the shipped lexicon. ``--images`` runs every
stage on six occupations instead, with images of 64 pixels: the weights are the same. ``--xl`` makes
the two text encoders of Stable Diffusion XL (3.3 GB) and corrects both, in one step and in two.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
from embed import make_encoder

import probe

COMMAND = "from cli.main import main; main()"
SHAPE = "stable-diffusion-v1"
JOBS = ("mechanic", "carpenter", "secretary", "housekeeper", "guard", "nurse")
TEXT_SIDE = {"embed": (), "fit": (), "train": ()}
ALL = {
    "embed": (),
    "fit": ("--n-bootstrap", "100"),
    "train": ("--latent-steps", "3", "--gate-kind", "closed-form"),  # its words are random, too
    "generate": ("--n-images", "1", "--n-steps", "2", "--scored-on", "validation"),
    "evaluate": ("--n-bootstrap", "100"),
    "visualize": (),
    "report": (),
}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--bpe", type=click.Path(exists=True, path_type=Path), help="CLIP's merges (gzip).")
@click.option("--images", is_flag=True, help="Every stage, with small images of two steps each.")
@click.option("--xl", is_flag=True, help="The text encoders of SDXL.")
@click.option("--precision", help="That of `train`, such as bf16; its default if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    folder: Path, bpe: Path | None, images: bool, xl: bool, precision: str | None, as_json: bool
) -> None:
    """Measure each stage of a run on a model of the true shape."""
    model, run, start = folder / "model", folder / "run", []
    if not (model / "model_index.json").is_file():
        # In a process of its own: the peak memory of this one counts for those that it starts.
        make = make_text_encoders if xl else make_model
        maker = multiprocessing.get_context("spawn").Process(target=make, args=(model, bpe))
        maker.start()
        maker.join()
    if images:
        model, run = with_small_images(model, folder / "small"), folder / "run-images"
        start = ["--lexicon", str(write_lexicon(folder / "lexicon.toml"))]
    found = {}
    for stage, options in (ALL if images else TEXT_SIDE).items():
        of_start = ["--model", str(model), *start] if stage == "embed" else []
        of_train = ["--precision", precision] if precision and stage == "train" else []
        found[stage] = measured(stage, str(run), *of_start, *of_train, *options)
        if not as_json:
            click.echo(f"{stage:<18}" + "  ".join(f"{k} {v:.1f}" for k, v in found[stage].items()))
    if as_json:
        click.echo(json.dumps({"cores": os.cpu_count(), "stages": found}, indent=2))


def write_lexicon(path: Path) -> Path:
    """Write the shipped lexicon with few occupations."""
    shipped = Path(probe.__file__).parent / "data" / "lexicon.toml"
    head, *jobs = shipped.read_text(encoding="utf-8").split("[[occupation]]")
    head = re.sub(r"test_pool = \[[^]]*\]", "", head)
    kept = [job for job in jobs if any(f'name = "{name}"' in job for name in JOBS)]
    path.write_text("[[occupation]]".join([head, *kept]), encoding="utf-8")
    return path


def with_small_images(model: Path, folder: Path, *, latent_size: int = 8) -> Path:
    """Link the files of a model, with a U-Net that makes smaller images."""
    for path in model.rglob("*"):
        if path.is_file() and not (copy := folder / path.relative_to(model)).exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, copy)
    config = folder / "unet" / "config.json"
    changed = json.loads(config.read_text(encoding="utf-8")) | {"sample_size": latent_size}
    config.unlink()
    config.write_text(json.dumps(changed), encoding="utf-8")
    return folder


def make_model(folder: Path, bpe: Path | None) -> None:
    """Write a pipeline of random weights in the ordinary format, with two small evaluators."""
    from diffusers import (
        AutoencoderKL,
        PNDMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        ResNetConfig,
        ResNetForImageClassification,
    )

    shapes = Path(probe.__file__).parent / "data" / "shapes.toml"
    shape = tomllib.loads(shapes.read_text(encoding="utf-8"))[SHAPE]
    encoder = make_encoder(bpe)
    StableDiffusionPipeline(
        text_encoder=encoder.model,
        tokenizer=encoder.tokenizer,
        vae=AutoencoderKL.from_config(shape["vae"]),
        unet=UNet2DConditionModel.from_config(shape["unet"]),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text = {**encoder.model.config.to_dict(), **small, "num_attention_heads": 4}
    vision = {**small, "num_attention_heads": 4, "patch_size": 32}
    clip = CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)
    CLIPModel(clip).save_pretrained(folder / "clip")
    encoder.tokenizer.save_pretrained(folder / "clip")
    CLIPImageProcessor().save_pretrained(folder / "clip")
    labels = dict(enumerate(("gender:woman", "gender:man")))
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    classifier = ResNetForImageClassification(
        ResNetConfig(**sizes, id2label=labels, label2id={name: at for at, name in labels.items()})
    )
    classifier.save_pretrained(folder / "classifier")
    CLIPImageProcessor().save_pretrained(folder / "classifier")


def make_text_encoders(folder: Path, bpe: Path | None) -> None:
    """Write the text encoders of Stable Diffusion XL with random weights."""
    import transformers

    shapes = Path(probe.__file__).parent / "data" / "shapes.toml"
    shape = tomllib.loads(shapes.read_text(encoding="utf-8"))["stable-diffusion-xl"]
    index: dict[str, object] = {"_class_name": shape["pipeline"]}
    words = make_encoder(bpe).tokenizer
    for part in ("text_encoder", "text_encoder_2"):
        kind = getattr(transformers, shape[part]["architectures"][0])
        kind(kind.config_class(**shape[part])).save_pretrained(folder / part)
        name = part.replace("text_encoder", "tokenizer")
        words.save_pretrained(folder / name)
        index |= {part: ["transformers", kind.__name__], name: ["transformers", "CLIPTokenizer"]}
    (folder / "unet").mkdir()
    (folder / "unet" / "config.json").write_text(json.dumps(shape["unet"]), encoding="utf-8")
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def measured(*arguments: str) -> dict[str, float]:
    """Run a command of `moesd-probe`: seconds, processor seconds, and peak memory in GB."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"`moesd-probe {' '.join(arguments)}` failed")
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "gigabytes": usage.ru_maxrss * 1024 / 1e9,
    }


if __name__ == "__main__":
    main()
