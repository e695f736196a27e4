"""The recipe: train all models of tinytown from scratch, and write an ordinary model folder."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from probe.io.artifacts import atomic
from probe.io.progress import NamedProgress
from probe.text.lexicon import Lexicon
from probe.tinytown import architecture, stages
from probe.tinytown.canvas import SIZE
from probe.tinytown.loop import Schedule, Training
from probe.tinytown.world import RELIABLE, UNRELIABLE

SEEDS = {"clip": 11, "autoencoder": 12, "classifier": 13, "second_classifier": 14, "denoiser": 15}


@dataclass(frozen=True)
class Recipe:
    """Number of training images and schedule of each stage."""

    n_clip: int = 40_000
    n_pictures: int = 30_000
    n_balanced: int = 12_000
    clip: Schedule = stages.CLIP_SCHEDULE
    autoencoder: Schedule = stages.AUTOENCODER_SCHEDULE
    classifier: Schedule = stages.CLASSIFIER_SCHEDULE
    denoiser: Schedule = stages.DENOISER_SCHEDULE


class RecipeTraining:
    """Run the stages of a recipe in order; an interrupted stage is resumed.

    The finished model is written to ``out``; the checkpoints in ``work`` may be deleted afterwards.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        out: Path,
        work: Path,
        *,
        recipe: Recipe | None = None,
        progress: NamedProgress | None = None,
    ) -> None:
        self.lexicon, self.out, self.work = lexicon, out, work
        self.recipe = recipe or Recipe()
        self._progress = progress
        self.losses: dict[str, list[float]] = {}
        self.checkpoint_every = 200

    def run(self) -> None:
        """Train every model and write the folder."""
        tokenizer, text_encoder = self.train_clip()
        vae = self.train_autoencoder()
        self.train_classifiers(vae)
        self.train_denoiser(tokenizer, text_encoder, vae)

    def train_clip(self) -> tuple[CLIPTokenizer, CLIPTextModel]:
        """Learn the vocabulary and both towers; write ``clip``, ``text_encoder``, ``tokenizer``."""
        data = stages.draw_captioned(
            self.lexicon,
            self.recipe.n_clip,
            seed=SEEDS["clip"],
            explicit=UNRELIABLE,
            scrambled=0.7,
        )
        tokenizer = architecture.learn_tokenizer(data.captions)
        training = stages.clip_training(
            data, tokenizer, self.work, seed=SEEDS["clip"], schedule=self.recipe.clip
        )
        self._run(training)
        model: CLIPModel = training.model
        text_encoder = CLIPTextModel(model.text_model.config)
        text_encoder.load_state_dict(model.text_model.state_dict())
        model.save_pretrained(self.out / "clip")
        tokenizer.save_pretrained(self.out / "clip")
        _write_preprocessor(self.out / "clip")
        return tokenizer, text_encoder.eval()

    def train_autoencoder(self) -> AutoencoderKL:
        """Train the autoencoder and set the scale of its latents."""
        data = stages.draw_captioned(
            self.lexicon,
            self.recipe.n_pictures,
            seed=SEEDS["autoencoder"],
            explicit=UNRELIABLE,
            scrambled=0.3,
        )
        training = stages.autoencoder_training(
            data.pictures,
            self.work,
            seed=SEEDS["autoencoder"],
            schedule=self.recipe.autoencoder,
        )
        self._run(training)
        vae: AutoencoderKL = training.model
        latents = stages.encode_latents(vae, data.pictures[:1000])
        vae.register_to_config(scaling_factor=round(float(1 / latents.std()), 4))
        return vae

    def train_classifiers(self, vae: AutoencoderKL) -> None:
        """Train the two classifiers on different images, from different seeds."""
        labels = stages.attribute_labels(self.lexicon)
        for name in stages.CLASSIFIERS:
            scenes, pictures = stages.draw_balanced(
                self.lexicon, self.recipe.n_balanced, seed=SEEDS[name]
            )
            training = stages.classifier_training(
                name,
                scenes,
                pictures,
                labels,
                vae,
                self.work,
                seed=SEEDS[name],
                schedule=self.recipe.classifier,
            )
            self._run(training)
            training.model.save_pretrained(self.out / name)
            _write_preprocessor(self.out / name)

    def train_denoiser(
        self, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, vae: AutoencoderKL
    ) -> None:
        """Train the U-Net on cached latents and states; write the pipeline."""
        data = stages.draw_captioned(
            self.lexicon, self.recipe.n_pictures, seed=SEEDS["denoiser"], explicit=RELIABLE
        )
        latents = stages.encode_latents(vae, data.pictures) * vae.config.scaling_factor
        states, rows = stages.encode_captions(text_encoder, tokenizer, data.captions)
        training = stages.denoiser_training(
            latents,
            states,
            rows,
            self.work,
            seed=SEEDS["denoiser"],
            schedule=self.recipe.denoiser,
        )
        self._run(training)
        pipeline = StableDiffusionPipeline(
            vae=vae.half(),
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=training.model.half(),
            scheduler=architecture.scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(self.out)
        settings = {
            "guidance_scale": architecture.GUIDANCE_SCALE,
            "num_inference_steps": architecture.N_INFERENCE_STEPS,
        }
        _write_json(self.out / "generation.json", settings)

    def _run(self, training: Training) -> None:
        training.checkpoint_every = self.checkpoint_every
        report = None if self._progress is None else partial(self._progress, training.name)
        self.losses[training.name] = training.run(progress=report)

    def describe(self) -> dict[str, Any]:
        """Return the recipe and its seeds as plain data."""
        captions = {"clip": asdict(UNRELIABLE), "denoiser": asdict(RELIABLE)}
        return {**asdict(self.recipe), "seeds": SEEDS, "explicit_captions": captions}


def _write_preprocessor(folder: Path) -> None:
    settings = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": SIZE},
        "do_center_crop": True,
        "crop_size": {"height": SIZE, "width": SIZE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    _write_json(folder / "preprocessor_config.json", settings)


def _write_json(path: Path, settings: dict[str, Any]) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")
