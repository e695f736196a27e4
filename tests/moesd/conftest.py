"""A small random-weight model with its prompts, embedded once, and a correction trained on it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probe.images.pipelines import load_pipeline
from probe.io.artifacts import Provenance
from probe.latent.directions import BiasDirection, PairDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.examples import Examples
from probe.moesd.objectives.diffusion import DiffusionObjective
from probe.moesd.training import train_moesd
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

BRIEF = TrainConfig(
    objective="latent",
    latent_steps=2,
    width=4,
    gate_reads="bias_score",
    false_alarm=1.0,  # words of random weights say nothing of persons
)


@dataclass(frozen=True)
class Town:
    encoder: TextEncoder
    prompts: PromptSet
    vectors: np.ndarray
    direction: BiasDirection
    projection: CalibratedProjection

    def train(self, **options):
        options.setdefault("config", BRIEF)
        return train_moesd(
            self.encoder,
            options.pop("prompts", self.prompts),
            options.pop("vectors", self.vectors),
            direction=self.direction,
            projection=self.projection,
            **options,
        )


@pytest.fixture
def provenance(town: Town) -> Provenance:
    return Provenance(
        kind="moesd", model=town.encoder.id, revision=town.encoder.revision, seed=0, made_from="x"
    )


@pytest.fixture(scope="session")
def town(pipeline_folder: Path) -> Town:
    encoder = TextEncoder.load(pipeline_folder)
    lexicon = Lexicon.load()
    train, test = lexicon.templates["train"], lexicon.templates["test"]
    kept = [*sorted((*train.neutral, *train.explicit))[:4], test.neutral[0], test.explicit[0]]
    prompts = PromptSet.build(lexicon)
    prompts = prompts.take(prompts.table["template"].isin(kept).to_numpy())
    vectors = encoder.embed(prompts.prompts)
    male, female = prompts.pairs()
    learner = PairDirection().fit(vectors[male], vectors[female])
    return Town(
        encoder=encoder,
        prompts=prompts,
        vectors=vectors,
        direction=learner.result(concept="gender", encoder=encoder.revision),
        projection=CalibratedProjection().fit(vectors[male], vectors[female]),
    )


@pytest.fixture(scope="session")
def on_both_sides():
    """A brief training of experts on the text states and in the U-Net."""
    return TrainConfig(
        objective="both",
        side="both",
        latent_steps=2,
        diffusion_steps=3,
        batch_size=4,
        width=4,
        n_examples=16,
    )


@pytest.fixture(scope="session")
def moesd(town: Town):
    return town.train()


@pytest.fixture(scope="module")
def pipeline(pipeline_folder: Path):
    return load_pipeline(pipeline_folder)


@pytest.fixture(scope="session")
def pictures(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training pictures of noise: two of each value for four subjects."""
    folder = tmp_path_factory.mktemp("examples")
    table = town.prompts.table
    trained = table[town.prompts.is_training & (table["group"] == "neutral")]
    rng = np.random.default_rng(0)
    rows = []
    for subject, prompt in trained.drop_duplicates("subject")[["subject", "prompt"]].to_numpy()[:4]:
        for value in ("man", "woman"):
            for index in range(2):
                name = f"{subject}-{value}-{index}.png"
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name)
                rows.append(
                    {"file_name": name, "prompt": prompt, "subject": subject, "value": value}
                )
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture
def diffusion_objective(town: Town, pictures: Path):
    """Makes the diffusion objective of a pipeline."""
    moesd = town.train()
    for weight in moesd.experts.parameters():
        weight.requires_grad_(True)
    neutral = town.prompts.take(town.prompts.is_training).select(group="neutral").table

    def make(pipeline):
        return DiffusionObjective(
            moesd,
            neutral["prompt"].tolist(),
            neutral["subject"].tolist(),
            Examples.read(pictures),
            pipeline,
            batch_size=6,
            seed=0,
        )

    return make
