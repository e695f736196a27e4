"""What the recipes of the laboratory models share: stages in order, and what tinytown lends."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPModel

from probe.io.artifacts import atomic
from probe.io.progress import NamedProgress
from probe.text.checkpoints import TINYTOWN
from probe.text.lexicon import Lexicon
from probe.tinytown.loop import Training
from probe.tinytown.stages import CLASSIFIERS

JUDGES = (*CLASSIFIERS, "clip")


class RecipeTraining(ABC):
    """Run the stages of a recipe in order; an interrupted stage is resumed.

    The finished model is written to ``out``; the checkpoints in ``work`` may be deleted afterwards.

    Attributes
    ----------
    losses : dict of str to list of float
        Of each trained part.
    """

    default: ClassVar[Any]
    """The recipe of the model that ships: a dataclass of numbers and schedules."""
    seeds: ClassVar[Mapping[str, int]]

    def __init__(
        self,
        lexicon: Lexicon,
        out: Path,
        work: Path,
        *,
        recipe: Any = None,
        progress: NamedProgress | None = None,
    ) -> None:
        self.lexicon, self.out, self.work = lexicon, out, work
        self.recipe = recipe or self.default
        self._progress = progress
        self.losses: dict[str, list[float]] = {}
        self.checkpoint_every = 200

    @abstractmethod
    def run(self) -> None:
        """Train every model and write the folder."""

    def describe(self) -> dict[str, Any]:
        """Return the recipe and its seeds as plain data."""
        return {**asdict(self.recipe), "seeds": dict(self.seeds)}

    def write(
        self, pipeline: Any, halved: Iterable[str], *, guidance_scale: float, n_steps: int
    ) -> None:
        """Write a pipeline, some parts in half precision, and the settings of its images."""
        for part in halved:
            getattr(pipeline, part).half()
        pipeline.save_pretrained(self.out)
        settings = {"guidance_scale": guidance_scale, "num_inference_steps": n_steps}
        write_json(self.out / "generation.json", settings)

    def _run(self, training: Training) -> None:
        training.checkpoint_every = self.checkpoint_every
        report = None if self._progress is None else partial(self._progress, training.name)
        self.losses[training.name] = training.run(progress=report)


class TinytownParts:
    """The parts of tinytown that the other laboratory models keep: they live in one world.

    Attributes
    ----------
    tokenizer : CLIPTokenizer
    clip : CLIPModel
    text_encoder : CLIPTextModel
        Its text side.
    vae : AutoencoderKL
    """

    def __init__(self) -> None:
        pipeline = StableDiffusionPipeline.from_pretrained(TINYTOWN)
        self.tokenizer, self.vae = pipeline.tokenizer, pipeline.vae.eval().requires_grad_(False)
        self.text_encoder = pipeline.text_encoder
        self.clip = CLIPModel.from_pretrained(TINYTOWN / "clip").eval().requires_grad_(False)

    def copy_judges(self, out: Path) -> None:
        """Copy what looks at images, so that the models are measured alike."""
        for name in JUDGES:
            shutil.copytree(TINYTOWN / name, out / name, dirs_exist_ok=True)


@torch.no_grad()
def encode_captions(
    pipeline: Any, captions: Iterable[str], **options: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Encode each distinct caption once with all text encoders of a pipeline.

    ``options`` are further ones of its ``encode_prompt``.

    Returns
    -------
    states : Tensor of shape (n_distinct + 1, n_tokens, width)
        Row 0 is the empty caption.
    pooled : Tensor of shape (n_distinct + 1, pooled_width)
    rows : Tensor of shape (n_captions,)
        Each caption's row.
    """
    captions = list(captions)
    distinct = ["", *sorted(set(captions))]
    index = {caption: row for row, caption in enumerate(distinct)}
    encoded = [
        pipeline.encode_prompt(
            prompt=distinct[start : start + 512], do_classifier_free_guidance=False, **options
        )
        for start in range(0, len(distinct), 512)
    ]
    states, pooled = (torch.cat([batch[of] for batch in encoded]) for of in (0, 2))
    return states, pooled, torch.tensor([index[caption] for caption in captions])


def write_json(path: Path, settings: dict[str, Any]) -> None:
    """Write settings as JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n")
