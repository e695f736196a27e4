"""Which of several text encoders a new run reads: the one that predicts its model's images best."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from probe.errors import DataError
from probe.images.plan import GenerationPlan, planned_rows
from probe.latent.erasure import bias_score
from probe.latent.prediction import Calibration, SharePredictor
from probe.run.evaluation import evaluators
from probe.run.evaluation.corrected import seen_attributes
from probe.run.evaluation.looking import look_with
from probe.run.files import EMBEDDED
from probe.run.folder import Run
from probe.run.images import make_images
from probe.run.registry import Answer
from probe.run.routing import attributes_of
from probe.run.stages.fit import fit_axis, subject_scores
from probe.run.study import counts_of
from probe.stats.notation import bracketed
from probe.text.attributes import GENDER
from probe.text.checkpoints import text_encoders
from probe.text.encoder import TextEncoder
from probe.text.languages import language_of

if TYPE_CHECKING:
    from probe.arrays import Float32

N_IMAGES = 16
"""Images of each training and validation occupation, at most; our choice."""

LEAST_R2 = 0.5
"""An encoder whose gate fails gives way to one that explains at least this share of what it
explains; our choice."""

_FOLDER = "images/encoders"


def has_choice(run: Run) -> bool:
    """Whether nobody said which of several text encoders a run reads, and nothing is embedded."""
    return (
        not run.config.embed.encoder
        and not (run.folder / EMBEDDED[0]).exists()
        and len(text_encoders(run.model_folder)) > 1
        and GENDER.name in [of.name for of in attributes_of(run)]
    )


def choose_encoder(run: Run) -> Answer:
    """Find the encoder whose bias score predicts the base model's images best.

    An axis is fitted to each encoder's embeddings of the prompts for training; a curve from its
    bias scores to the shares of women in images of training occupations; and R2, the share of the
    variance that the curve explains, is taken on validation occupations. The gate reads the encoder
    too: one whose gate opens for a validation prompt that it should leave alone is passed over, if
    another's does not and explains enough (`LEAST_R2`). Where R2 cannot be had (too few
    occupations, or images that are all alike), the first encoder is read, and it is said.
    """
    slots = text_encoders(run.model_folder)
    encoders = {
        slot: TextEncoder.load(run.config.model, encoder=slot, device=run.device) for slot in slots
    }
    shares = _base_shares(run, encoders)
    found, gated, why = dict[str, Calibration](), dict[str, bool](), ""
    try:
        for slot, encoder in encoders.items():
            z = encoder.embed(run.prompts.prompts)
            found[slot] = explained_shares(run, scored_subjects(run, z), shares)
            gated[slot] = has_gate(run, encoder, z)
    except DataError as error:
        found, why = {}, str(error)
    shutil.rmtree(run.folder / _FOLDER, ignore_errors=True)
    return _answer(best_encoder(found, gated) or slots[0], found, gated, why)


def best_encoder(found: dict[str, Calibration], gated: dict[str, bool]) -> str | None:
    """Take the encoder of the highest R2 of those with a gate that works (`has_gate`).

    None if nothing is ``found``. See `choose_encoder`.
    """
    if not found:
        return None
    best = max(found, key=lambda slot: found[slot].r2)
    enough = LEAST_R2 * max(found[best].r2, 0.0)
    able = [slot for slot, of in found.items() if gated[slot] and of.r2 >= enough]
    return max(able or [best], key=lambda slot: found[slot].r2)


def has_gate(run: Run, encoder: TextEncoder, z: Float32) -> bool:
    """Whether a gate on an encoder opens for no validation prompt that it should leave alone.

    Those are the prompts about objects and those that state a gender. ``z`` are the embeddings of
    the run's prompts, to whose training prompts alone this gate is fitted; false if it cannot be.
    """
    from probe.moesd.gate import fit_gate

    direction, projection = fit_axis(run, z)
    config = replace(run.config.train, reads_validation=False)
    is_english = language_of(run.lexicon) is None
    axis: dict[str, Any] = {"direction": direction, "projection": projection}
    try:
        gate = fit_gate(encoder, run.prompts, z, **axis, config=config, is_english=is_english)
    except DataError:
        return False
    closed = run.prompts.select(group=("object", "male", "female"), split="validation").prompts
    return not gate.decide(gate.read(encoder, closed)).is_open.any()


def scored_subjects(run: Run, z: Float32) -> pd.DataFrame:
    """`subject_scores` on the axis of an encoder that embeds the prompts of the run as ``z``."""
    scores = bias_score(z, *fit_axis(run, z))
    return subject_scores(run.prompts.table.assign(bias_score=scores))


def explained_shares(run: Run, subjects: pd.DataFrame, shares: pd.DataFrame) -> Calibration:
    """Predict shares of women on validation occupations by an encoder's bias scores.

    ``subjects`` are those of `scored_subjects`; ``shares`` has the columns ``subject``, ``n``
    (images) and ``share``. Raises `DataError` if there are too few occupations, or the shares do
    not differ.
    """
    seen = shares[["subject", "n", "share"]].merge(subjects[["subject", "split", "bias_score"]])
    predictor = SharePredictor(seed=run.config.study.seed).fit(*counts_of(seen, "train"))
    resampling = run.config.study.resampling
    return predictor.calibration(*counts_of(seen, "validation"), resampling=resampling)


def _base_shares(run: Run, encoders: dict[str, TextEncoder]) -> pd.DataFrame:
    """Shares of women in images by the base model, of templates and occupations not for testing."""
    lexicon, classifier = run.lexicon, evaluators.load_classifier(run)
    place = [of.name for of in attributes_of(run)].index(GENDER.name)
    attribute, labels = seen_attributes(run, classifier.attributes)[place]
    n_images, seed = min(N_IMAGES, run.config.generate.n_images), run.config.generate.seed
    jobs = lexicon.occupations_of("train", "validation")
    prompts = ((job, [lexicon.neutral_prompt(job, "validation")]) for job in jobs)
    rows = [row for of in prompts for row in planned_rows("neutral", *of, n_images, seed)]
    label = "images to choose the text encoder by"
    pipeline = run.load_pipeline(encoders=encoders.values())
    folder = run.folder / _FOLDER
    images = make_images(run, pipeline, GenerationPlan(pd.DataFrame(rows)), folder, label=label)
    here = partial(classifier.label, progress=run.progress_on(f"looking at {label}"))
    files = [folder / name for name in images["file_name"]]
    seen = pd.concat(look_with(run, "classifier", files, here), ignore_index=True)
    is_woman = seen[attribute].map({labels["female"]: 1.0, labels["male"]: 0.0})
    images = images.assign(share=is_woman.to_numpy()).dropna(subset="share")
    of_subject = images.groupby("subject")["share"]
    return of_subject.agg(n="size", share="mean").reset_index()


def _answer(best: str, found: dict[str, Calibration], gated: dict[str, bool], why: str) -> Answer:
    """Say which encoder was chosen, what each explains, and whose gate failed."""
    figures = {
        slot: {"r2": of.r2, "low": of.r2_low, "high": of.r2_high, "n": of.n, "gate": gated[slot]}
        for slot, of in found.items()
    }
    if not found:
        text = f"{best}, the model's first; which predicts its images best is not known: {why}"
        return Answer(text, {"encoder": best, "explained": figures})
    of_each = ", ".join(
        f"{slot} {bracketed(of.r2, of.r2_low, of.r2_high)}" for slot, of in found.items()
    )
    text = (
        f"the bias score of {best} explains most of the shares of women in images of "
        f"{found[best].n} validation occupations"
    )
    if passed_over := [slot for slot, of in found.items() if of.r2 > found[best].r2]:
        text += f", but for {', '.join(passed_over)}, whose gate fails on validation prompts"
    text += f" (R2: {of_each}); another is read with --encoder"
    return Answer(text, {"encoder": best, "explained": figures})
