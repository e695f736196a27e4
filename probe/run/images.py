"""The images that a run makes with its models: of a plan, and to train on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.errors import DataError
from probe.images.intervention import Intervention
from probe.images.plan import METADATA, GenerationPlan, planned_rows, write_metadata
from probe.io.artifacts import atomic, hash_file, hash_parts, read_json, write_json
from probe.io.progress import Progress
from probe.io.settings import settings_line
from probe.run.evaluation import evaluators
from probe.run.evaluation.corrected import Seen, cells_shown, seen_attributes
from probe.run.evaluation.looking import look_with
from probe.run.folder import Run, stale_files
from probe.run.routing import attributes_of
from probe.text.attributes import GENDER, cells_of
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.templates import fill

if TYPE_CHECKING:
    from probe.images.models.conditions import Conditions


EXAMPLES = "moesd/examples"
_MARK = f"{EXAMPLES}/provenance.json"

_CANDIDATES = "moesd/candidates"
_SPARE = 1.2  # a model that obeys 95 % of its prompts loses one image in ten to the checks

_OF_OTHER_IMAGES = (
    *("n_images", "seed", "batch_size", "scored_on", "routing", "strength", "target"),
    *("guidance_slope", "guidance_intercept", "min_explained", "base_images"),
)


def make_images(
    run: Run,
    pipeline: Any,
    plan: GenerationPlan,
    folder: Path,
    *,
    intervention: Intervention | None = None,
    reuse: Path | Sequence[Path] | None = None,
    known: dict[str, Conditions] | None = None,
    config: Any = None,
    label: str = "",
) -> pd.DataFrame:
    """Make images with `probe.images.generation.generate` and the settings of a run."""
    from probe.images.generation import generate

    config = run.config.generate if config is None else config
    return generate(
        pipeline,
        plan,
        folder,
        guidance_scale=config.guidance_scale,
        n_steps=config.n_steps,
        batch_size=config.batch_size or None,
        revision=run.revision,
        intervention=intervention,
        reuse=reuse,
        known=known,
        progress=run.progress_on(label) if label else None,
        distribute=run.distribute,
    )


def examples_made_from(run: Run) -> str:
    """Hash everything the training images depend on."""
    config = run.config
    if config.train.examples:  # its name is a hash of its content
        return str(config.train.examples)
    return hash_parts(
        "examples",
        run.revision,
        evaluators.evaluators_line(run, "selector"),
        repr(training_lexicon(run)),
        f"n={config.train.n_examples} seed={config.train.seed}",
        generation_line(run),
        f"{config.evaluate.attribute} {config.evaluate.female} {config.evaluate.male}",
        *([] if config.train.attributes == GENDER.name else [config.train.attributes]),
    )


def make_examples(run: Run, pipeline: Any) -> Path:
    """Make the training images of a run, an imagefolder with the neutral prompts they answer.

    Images are made from explicit prompts (``source_prompt``, "a photo of a woman working as a
    carpenter") for every training occupation. An image is kept if the selector sees
    the gender and, where it knows subjects, the occupation that were asked for; then as many women
    as men of each occupation. If a run corrects other attributes, these are prompts and images of
    their values or cells. The user's images are returned as they are.
    """
    if given := run.config.train.examples:
        return run.path(given)
    made_from, folder = examples_made_from(run), run.folder / EXAMPLES
    if stale_files(run, made_from, _MARK) is None:
        shutil.rmtree(run.folder / _CANDIDATES, ignore_errors=True)
        return folder
    (run.folder / _MARK).unlink(missing_ok=True)
    lexicon, seed = training_lexicon(run), run.config.train.seed
    n_occupations = len(lexicon.occupations_of("train"))
    n_cells = len(cells_of(attributes_of(run)).values)
    n_wanted = max(1, run.config.train.n_examples // (n_cells * max(1, n_occupations)))
    candidates = make_images(
        run,
        pipeline,
        _example_plan(run, lexicon, n_images=round(_SPARE * n_wanted + 0.5)),
        run.folder / _CANDIDATES,
        config=_generation(run),
        reuse=folder if (folder / METADATA).exists() else None,
        label="training images",
    )
    kept = _balanced(_as_asked(run, candidates), n_wanted)
    if kept.empty:
        raise DataError(
            f"of {len(candidates)} training images none shows each value in an occupation as "
            "its prompt asks; use the objective latent, which needs no images, or another model"
        )
    shutil.rmtree(folder, ignore_errors=True)
    for name in kept["file_name"]:
        with atomic(folder / name) as temporary:
            shutil.copyfile(run.folder / _CANDIDATES / name, temporary)
    prompts = [lexicon.neutral_prompt(subject, "train") for subject in kept["subject"]]
    columns = ["file_name", "prompt", "source_prompt", "subject", "value", "seed", "key"]
    write_metadata(folder, kept.assign(prompt=prompts, source_prompt=kept["prompt"])[columns])
    provenance = run.provenance("examples", made_from, seed=seed)
    write_json(run.folder / _MARK, {"n_made": len(candidates), "n_kept": len(kept)}, provenance)
    shutil.rmtree(run.folder / _CANDIDATES)
    return folder


def keep_examples(run: Run, folder: Path) -> str:
    """Copy the pairs that a training uses into the run; returns the folder's name there."""
    from probe.moesd.examples import Examples

    others = run.lexicon.occupations_of("validation", "test")
    examples = Examples.read_pairs(folder, without=others)
    paths = [examples.path(name) for name in examples.table["file_name"]]
    rows = repr(examples.table.to_dict("records"))
    name = f"examples-{hash_parts(rows, *(hash_file(path) for path in paths))}"
    if not (run.folder / name / METADATA).is_file():
        files = [f"{number:05d}{path.suffix.lower()}" for number, path in enumerate(paths)]
        for path, file in zip(paths, files, strict=True):
            with atomic(run.folder / name / file) as temporary:
                shutil.copyfile(path, temporary)
        write_metadata(run.folder / name, examples.table.assign(file_name=files))
    return name


def n_examples(run: Run) -> int:
    """Count the images that the training saw; 0 if its objective needs none."""
    if (given := run.config.train.examples) and run.config.train.needs_pictures:
        from probe.moesd.examples import Examples

        return len(Examples.read(run.path(given), limit=run.config.train.n_examples))
    if not run.config.train.needs_pictures or not (run.folder / _MARK).exists():
        return 0
    return int(read_json(run.folder / _MARK, kind="examples")[0]["n_kept"])


def training_lexicon(run: Run) -> Lexicon:
    """The words of a run; training occupations that the training leaves out are for validation.

    Where only some are asked for, they are spread evenly over the order of labour shares.
    """
    n_wanted, lexicon = run.config.train.n_occupations, run.lexicon
    seen = sorted(
        (job for job in lexicon.occupations if job.split == "train"), key=attrgetter("share_women")
    )
    if not 0 < n_wanted < len(seen):
        return lexicon
    places = np.linspace(0, len(seen) - 1, n_wanted).round().astype(int)
    others = {job.name for job in seen} - {seen[place].name for place in places}
    jobs = (
        replace(job, split="validation") if job.name in others else job
        for job in lexicon.occupations
    )
    return replace(lexicon, occupations=tuple(jobs))


def training_prompts(run: Run) -> PromptSet:
    """The prompts of a run, of which its training reads those with `PromptSet.is_training`.

    Training occupations that it leaves out are of no split.
    """
    table = run.prompts.table
    split = table["subject"].map(training_lexicon(run).split_of)
    return PromptSet(table.assign(split=split.where(split == table["split"], "")))


def generation_line(run: Run) -> str:
    """The settings with which a training makes images, to be hashed with what it makes of them."""
    return images_line(_generation(run))


def images_line(config: Any) -> str:
    """The settings with which images of a prompt are made, to be hashed with what they show."""
    return settings_line(config, without=_OF_OTHER_IMAGES)


def selector_sees(
    run: Run, files: list[Path], *, progress: Progress | None = None
) -> tuple[pd.DataFrame, list[Seen]]:
    """Label images by the classifier that selects.

    Returns a row an image, and what the classifier calls the attributes that the run corrects.
    """
    classifier = evaluators.load_whole_classifier(run, "selector")
    attributes = seen_attributes(run, classifier.attributes)
    here = partial(classifier.label, progress=progress) if progress else classifier.label
    return pd.concat(look_with(run, "selector", files, here), ignore_index=True), attributes


def _generation(run: Run) -> Any:
    """How training images are made: as all others, but for a guidance of their own."""
    guidance = run.config.train.guidance_scale or run.config.generate.guidance_scale
    return replace(run.config.generate, guidance_scale=guidance)


def _example_plan(run: Run, lexicon: Lexicon, *, n_images: int) -> GenerationPlan:
    """Plan images that state each gender, or each value or cell of other attributes."""
    seed, of = run.config.train.seed, cells_of(attributes_of(run))
    if of.name == GENDER.name:
        return GenerationPlan.examples(lexicon, n_images=n_images, seed=seed)
    neutral = lexicon.templates["train"].neutral
    rows = [
        row
        for job in lexicon.occupations_of("train")
        for value, word in zip(of.values, of.words, strict=True)
        for row in planned_rows(
            value,
            job,
            [fill(template, subject=f"{word} {job}") for template in neutral],
            n_images,
            f"examples of {seed}",
        )
    ]
    return GenerationPlan(pd.DataFrame(rows))


def _as_asked(run: Run, candidates: pd.DataFrame) -> pd.DataFrame:
    files = [run.folder / _CANDIDATES / name for name in candidates["file_name"]]
    labels, attributes = selector_sees(
        run, files, progress=run.progress_on("looking at training images")
    )
    asked, values = candidates["kind"], np.array([*cells_of(attributes_of(run)).values])
    is_asked = asked.to_numpy()[:, None] == values
    is_kept = (cells_shown(labels, attributes) & is_asked).any(axis=1)
    if len(attributes) == 1:  # named as the classifier does
        asked = asked.map(attributes[0].labels)
    if evaluators.SUBJECT in labels:
        is_kept &= labels[evaluators.SUBJECT].to_numpy() == candidates["subject"].to_numpy()
    return candidates.assign(value=asked)[is_kept]


def _balanced(images: pd.DataFrame, n_wanted: int) -> pd.DataFrame:
    """Keep the first images of each subject, as many of each value, at most ``n_wanted``."""
    if images["value"].nunique() < 2:
        return images.head(0)
    cells = images.groupby(["subject", "value"])
    n_each = cells.size().unstack(fill_value=0).min(axis=1).clip(upper=n_wanted)
    return images[cells.cumcount() < images["subject"].map(n_each)]
