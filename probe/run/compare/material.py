"""What all methods of a run share: one model, one plan of images, one evaluator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.arrays import Float32
from probe.images.plan import GenerationPlan
from probe.io.artifacts import hash_parts
from probe.io.settings import settings_line
from probe.run.evaluation import evaluators
from probe.run.evaluation.corrected import cells_shown, seen_attributes
from probe.run.folder import Run
from probe.run.images import make_examples, make_images, training_prompts
from probe.run.routing import attributes_of
from probe.text.attributes import GENDER
from probe.text.languages import refuse_other_languages

if TYPE_CHECKING:
    from probe.baselines.method import Material, Trial
    from probe.images.intervention import Intervention
    from probe.images.models.conditions import Conditions
    from probe.images.quality.clip_score import ClipScorer
    from probe.moesd.model import MoESD
    from probe.text.encoder import TextEncoder

FOLDER = "comparison"
REFERENCE = "reference"
TRIAL = "trial"
"""Images that a method looks at while it is made, in its folder; removed afterwards."""
N_TRIAL = 6
"""Images of each occupation that a method may look at for each of its settings."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What is the same for every method; models are opened when they are first needed."""

    run: Run
    n_images: int

    @cached_property
    def plan(self) -> GenerationPlan:
        """The images that every method generates; those of ``generate`` if there are as many."""
        config = self.run.config.generate
        return GenerationPlan.build(
            self.run.lexicon,
            n_images=self.n_images,
            seed=config.seed,
            split=config.scored_on,
            attributes=attributes_of(self.run),
        )

    @cached_property
    def pipeline(self) -> Any:
        """The image model."""
        return self.run.load_pipeline(is_plain=True, encoders=[self.encoder, *self.others])

    @cached_property
    def encoder(self) -> TextEncoder:
        """The text encoder of the run."""
        return self.correction.encoder

    @cached_property
    def others(self) -> list[TextEncoder]:
        """The other text encoders of the model."""
        return [*self.correction.encoders[1:]] or self.run.load_other_encoders()

    @cached_property
    def correction(self) -> MoESD:
        """The run's own correction."""
        return self.run.load_correction()

    @cached_property
    def classifier(self) -> evaluators.Classifier:
        """The classifier that labels the images."""
        return evaluators.load_classifier(self.run)

    @cached_property
    def selector(self) -> evaluators.WholeClassifier:
        """The classifier by which methods choose their settings."""
        return evaluators.load_whole_classifier(self.run, "selector")

    @cached_property
    def clip(self) -> ClipScorer:
        """The CLIP that compares images with prompts."""
        return evaluators.load_clip(self.run)

    @cached_property
    def known(self) -> dict[str, Conditions]:
        """States of the prompts that the pipeline has encoded."""
        return {}

    @property
    def made_from(self) -> str:
        """Hash of what all methods share."""
        run, config = self.run, self.run.config
        attributes = config.train.attributes
        return hash_parts(
            "bench",
            run.revision,
            repr(run.lexicon),
            settings_line(config.generate, without=("n_images", "batch_size", "routing")),
            f"n={self.n_images}",
            evaluators.seen_by(run),
            evaluators.evaluators_line(run, "selector"),
            f"{config.evaluate.attribute} {config.evaluate.female}",
            *([] if attributes == GENDER.name else [attributes]),
        )

    def folder(self, name: str) -> Path:
        """Folder of a method's images and labels."""
        return self.run.folder / FOLDER / name

    def material(self, name: str) -> Material:
        """What a method may learn from; its trial images are in its own folder."""
        from probe.baselines.method import Material

        refuse_other_languages(self.run.lexicon, f"the method {name}")
        prompts = training_prompts(self.run)
        return Material(
            encoder=self.encoder,
            others=self.others,
            pipeline=self.pipeline,
            lexicon=self.run.lexicon,
            prompts=prompts.take(prompts.is_training),
            examples=self._examples,
            try_out=partial(self._try_out, self.folder(name) / TRIAL),
            validation=self._validation,
            seed=self.run.config.train.seed,
            attributes=attributes_of(self.run),
        )

    def _examples(self) -> tuple[Iterator[Float32], list[str]]:
        """The images that the experts are trained on, generated if they are not there."""
        from probe.moesd.examples import Examples

        config = self.run.config.train
        folder = make_examples(self.run, self.pipeline)
        examples = Examples.read(folder, limit=config.n_examples, seed=config.seed)
        return examples.batches(self.pipeline), examples.table["prompt"].tolist()

    def _try_out(self, folder: Path, intervention: Intervention, subjects: Sequence[str]) -> Trial:
        from probe.baselines.method import Trial

        table = make_images(
            self.run,
            self.pipeline,
            self._trial_plan(subjects),
            folder,
            intervention=intervention,
            known=self.known,
            label="trial images",
        )
        files = [folder / name for name in table["file_name"]]
        seen = self.selector.label(files)
        attributes = seen_attributes(self.run, self.selector.attributes)
        shown = pd.DataFrame(cells_shown(seen, attributes)).astype(float)
        is_shown = shown.any(axis=1).to_numpy()
        shares = shown[is_shown].groupby(table.loc[is_shown, "subject"].to_numpy()).mean()
        of_images = (
            seen[evaluators.SUBJECT].tolist()
            if evaluators.SUBJECT in seen
            else evaluators.subjects_by_clip(self.run.lexicon, files, self.clip)
        )
        recognised = float(np.mean(np.array(of_images) == table["subject"].to_numpy()))
        return Trial(tuple(shares.index), shares.to_numpy(), recognised)

    @cached_property
    def _validation(self) -> tuple[str, ...]:
        return tuple(self.run.lexicon.occupations_of("validation"))

    def _trial_plan(self, subjects: Sequence[str]) -> GenerationPlan:
        seed = int(hash_parts("trials", str(self.run.config.train.seed))[:8], 16)
        lexicon = self.run.lexicon
        plan = GenerationPlan.build(lexicon, n_images=N_TRIAL, seed=seed, split="validation").table
        if tested := [name for name in subjects if name not in set(plan["subject"])]:
            raise ValueError(f"{tested[0]!r} is a test occupation; needed others to try a method")
        is_wanted = (plan["kind"] == "neutral") & plan["subject"].isin(subjects)
        return GenerationPlan(plan[is_wanted].reset_index(drop=True))


def reference_plan(plan: GenerationPlan, *, seed: int) -> GenerationPlan:
    """Plan images by other noise; explicit prompts, in turn, take the place of neutral ones."""
    table = plan.table
    explicit = table.groupby(["subject", "kind"])["prompt"].unique()
    neutral = table[table["kind"] == "neutral"].reset_index(drop=True)
    stated = [kind for kind in dict.fromkeys(table["kind"]) if kind not in ("neutral", "object")]
    kinds = np.array(stated)[neutral.index % len(stated)]
    prompts = []
    for number, (subject, kind) in enumerate(zip(neutral["subject"], kinds, strict=True)):
        wordings = explicit[subject, kind]
        prompts.append(wordings[number // len(stated) % len(wordings)])
    people = neutral.assign(kind=kinds, prompt=prompts)
    other = pd.concat([people, table[table["kind"] == "object"]], ignore_index=True)
    noise = [int(hash_parts("reference", str(seed), str(known))[:8], 16) for known in other["seed"]]
    return GenerationPlan(other.assign(seed=noise))
