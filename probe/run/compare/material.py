"""What all methods of a run share: one model, one plan of pictures, one evaluator."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.audit.fairness import count_labels
from probe.images.plan import GenerationPlan
from probe.io.artifacts import hash_parts
from probe.io.settings import settings_line
from probe.run.evaluation import evaluators
from probe.run.folder import Run, lexicon_line
from probe.run.image_batches import draw_pictures
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

    from probe.baselines.method import Material, Trial
    from probe.images.attributes import AttributeClassifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.intervention import Intervention
    from probe.images.quality.clip_score import ClipScorer
    from probe.text.encoder import TextEncoder

FOLDER = "comparison"
REFERENCE = "reference"
N_TRIAL = 6
"""Pictures of each training occupation that a method may look at for each of its settings."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What is the same for every method; models are opened when they are first needed."""

    run: Run
    n_images: int

    @cached_property
    def plan(self) -> GenerationPlan:
        """The pictures that every method makes; those of ``generate`` if there are as many."""
        return GenerationPlan.build(
            self.run.lexicon, n_images=self.n_images, seed=self.run.config.generate.seed
        )

    @cached_property
    def pipeline(self) -> StableDiffusionPipeline:
        """The image model."""
        return self.run.load_pipeline()

    @cached_property
    def encoder(self) -> TextEncoder:
        """The text encoder."""
        return self.run.load_encoder()

    @cached_property
    def classifier(self) -> AttributeClassifier | FaceClassifier:
        """Who looks at the pictures."""
        return evaluators.load_classifier(self.run)

    @cached_property
    def clip(self) -> ClipScorer:
        """Who compares them with their prompts."""
        return evaluators.load_clip(self.run)

    def open_models(self) -> None:
        """Open every model now, so that what is timed afterwards opens none."""
        _ = self.pipeline, self.encoder, self.classifier, self.clip

    @cached_property
    def known(self) -> dict[str, torch.Tensor]:
        """States of the prompts that the pipeline has encoded."""
        return {}

    @property
    def made_from(self) -> str:
        """Hash of what all methods share."""
        run = self.run
        return hash_parts(
            "bench",
            run.revision,
            lexicon_line(run.lexicon),
            settings_line(run.config.generate, without=("n_images", "batch_size", "routing")),
            f"n={self.n_images}",
            evaluators.evaluators_line(
                run, evaluators.classifier_folder(run), evaluators.clip_folder(run)
            )
            + evaluators.faces_line(run),
            f"{run.config.evaluate.attribute} {run.config.evaluate.female}",
        )

    def folder(self, name: str) -> Path:
        """Where a method's pictures and what was seen in them stand."""
        return self.run.folder / FOLDER / name

    def make(
        self,
        plan: GenerationPlan,
        folder: Path,
        intervention: Intervention | None,
        *,
        reuse: Path | None = None,
        known: dict[str, torch.Tensor] | None = None,
        label: str = "",
    ) -> pd.DataFrame:
        """Make pictures with the settings of the run; those that are there are not made again."""
        return draw_pictures(
            self.run,
            self.pipeline,
            plan,
            folder,
            intervention=intervention,
            reuse=reuse,
            known=known,
            label=label,
        )

    def material(self, name: str) -> Material:
        """What a method may learn from; its trial pictures stand in its own folder."""
        from probe.baselines.method import Material

        return Material(
            encoder=self.encoder,
            pipeline=self.pipeline,
            lexicon=self.run.lexicon,
            prompts=PromptSet.build(self._training_words).select(split=["trained", ""]),
            examples=self._examples,
            try_out=lambda intervention: self._try_out(intervention, self.folder(name) / "trial"),
            seed=self.run.config.train.seed,
        )

    def clean(self, name: str) -> None:
        """Remove the trial pictures of a method that has been made."""
        shutil.rmtree(self.folder(name) / "trial", ignore_errors=True)

    def _examples(self) -> tuple[npt.NDArray[np.float32], list[str]]:
        """The pictures that the experts are trained on, made if they are not there."""
        from probe.moesd.examples import Examples
        from probe.run.training_examples import make_examples

        config = self.run.config.train
        folder = make_examples(self.run, self.pipeline)
        examples = Examples.read(folder, limit=config.n_examples, seed=config.seed)
        return examples.pixels(), examples.table["prompt"].tolist()

    def _try_out(self, intervention: Intervention, folder: Path) -> Trial:
        from probe.baselines.method import Trial

        plan, config = self._trial_plan, self.run.config.evaluate
        table = self.make(plan, folder, intervention, known=self.known, label="trial pictures")
        seen = self.classifier.label([folder / name for name in table["file_name"]])
        values = self.classifier.attributes[config.attribute]
        subjects, counts = count_labels(
            table["subject"].tolist(), seen[config.attribute].tolist(), values=values
        )
        n_seen = counts.sum(axis=1)
        known = np.flatnonzero(n_seen)
        shares = counts[known, values.index(config.female)] / n_seen[known]
        return Trial(tuple(subjects[row] for row in known), shares, self._recognised(seen, table))

    def _recognised(self, seen: pd.DataFrame, table: pd.DataFrame) -> float:
        if (
            evaluators.SUBJECT not in seen
        ):  # CLIP would have to be asked; then no setting is refused
            return 1.0
        return float((seen[evaluators.SUBJECT].to_numpy() == table["subject"].to_numpy()).mean())

    @cached_property
    def _training_words(self) -> Lexicon:
        """The lexicon in which everything that no training may see is held out."""
        from probe.run.training_examples import training_lexicon

        return training_lexicon(self.run)

    @cached_property
    def _trial_plan(self) -> GenerationPlan:
        seed = int(hash_parts("trials", str(self.run.config.train.seed))[:8], 16)
        table = GenerationPlan.build(self.run.lexicon, n_images=N_TRIAL, seed=seed).table
        seen = [job.name for job in self._training_words.occupations if not job.held_out]
        is_wanted = (table["kind"] == "neutral") & table["subject"].isin(seen)
        return GenerationPlan(table[is_wanted].reset_index(drop=True))


def reference_plan(plan: GenerationPlan, *, seed: int) -> GenerationPlan:
    """Plan pictures to compare with: explicit prompts in place of neutral ones, by other noise.

    As many as the neutral pictures of each occupation, women and men in turn, and as many of each
    object as there are.
    """
    table = plan.table
    neutral = table[table["kind"] == "neutral"]
    explicit = {
        key: rows["prompt"].unique().tolist()
        for key, rows in table.groupby(["subject", "kind"])
        if key[1] in ("female", "male")
    }
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(neutral.itertuples()):
        kind = ("female", "male")[number % 2]
        prompts = explicit[row.subject, kind]
        prompt = prompts[number // 2 % len(prompts)]
        rows.append(
            {
                "kind": kind,
                "subject": row.subject,
                "prompt": prompt,
                "seed": row.seed,
                "file_name": row.file_name,
            }
        )
    rows += table[table["kind"] == "object"].to_dict("records")
    other = pd.DataFrame(rows, columns=list(table.columns))
    noise = [int(hash_parts("reference", str(seed), str(known))[:8], 16) for known in other["seed"]]
    return GenerationPlan(other.assign(seed=noise))
