"""tinytown: every model of a Stable Diffusion 1 folder, and the judges, trained from scratch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from probe.tinytown import architecture, stages
from probe.tinytown.canvas import SIZE
from probe.tinytown.loop import Schedule
from probe.tinytown.recipe import RecipeTraining, write_json
from probe.tinytown.world import RELIABLE, UNRELIABLE


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


class TinytownTraining(RecipeTraining):
    """Train all parts of tinytown."""

    default: ClassVar[Recipe] = Recipe()
    seeds: ClassVar[Mapping[str, int]] = {
        "clip": 11,
        "autoencoder": 12,
        "classifier": 13,
        "second_classifier": 14,
        "denoiser": 15,
    }

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
            seed=self.seeds["clip"],
            explicit=UNRELIABLE,
            scrambled=0.7,
        )
        tokenizer = architecture.learn_tokenizer(data.captions)
        training = stages.clip_training(
            data, tokenizer, self.work, seed=self.seeds["clip"], schedule=self.recipe.clip
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
            seed=self.seeds["autoencoder"],
            explicit=UNRELIABLE,
            scrambled=0.3,
        )
        training = stages.autoencoder_training(
            data.pictures,
            self.work,
            seed=self.seeds["autoencoder"],
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
                self.lexicon, self.recipe.n_balanced, seed=self.seeds[name]
            )
            training = stages.classifier_training(
                name,
                scenes,
                pictures,
                labels,
                vae,
                self.work,
                seed=self.seeds[name],
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
            self.lexicon, self.recipe.n_pictures, seed=self.seeds["denoiser"], explicit=RELIABLE
        )
        latents = stages.encode_latents(vae, data.pictures) * vae.config.scaling_factor
        states, rows = stages.encode_captions(text_encoder, tokenizer, data.captions)
        torch.manual_seed(self.seeds["denoiser"])
        training = stages.denoiser_training(
            architecture.denoiser(),
            latents,
            rows,
            lambda captions: {"encoder_hidden_states": states[captions]},
            self.work,
            seed=self.seeds["denoiser"],
            schedule=self.recipe.denoiser,
        )
        self._run(training)
        pipeline = StableDiffusionPipeline(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=training.model,
            scheduler=architecture.scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        self.write(
            pipeline,
            ("unet", "vae"),
            guidance_scale=architecture.GUIDANCE_SCALE,
            n_steps=architecture.N_INFERENCE_STEPS,
        )

    def describe(self) -> dict[str, Any]:
        """Return the recipe and its seeds as plain data."""
        captions = {"clip": asdict(UNRELIABLE), "denoiser": asdict(RELIABLE)}
        return {**super().describe(), "explicit_captions": captions}


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
    write_json(folder / "preprocessor_config.json", settings)
