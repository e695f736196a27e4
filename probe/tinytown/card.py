"""The training card: figures of a trained tinytown, measured against known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.fairness import fairness_figures
from probe.images.attributes import AttributeClassifier
from probe.images.generation import GenerationPlan, generate
from probe.images.pipelines import generation_settings, load_pipeline
from probe.io.artifacts import hash_file
from probe.io.progress import Progress
from probe.latent.directions import PairDirection
from probe.latent.erasure import CalibratedProjection, bias_score
from probe.text.checkpoints import model_revision
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.tinytown.stages import draw_balanced
from probe.tinytown.world import GENDERS

WEIGHTS = "*.safetensors"
UNSEEN_SEED = 99


def measure_encoder(model: Path, lexicon: Lexicon) -> dict[str, float]:
    """Correlate the text bias score of the occupations (positive: male) with the planted shares."""
    encoder = TextEncoder.load(model)
    prompts = PromptSet.build(lexicon)
    z = encoder.embed(prompts.prompts)
    male, female = prompts.pairs()
    direction = PairDirection().fit(z[male], z[female])
    projection = CalibratedProjection().fit(z[male], z[female])
    scores = bias_score(z, direction.direction_, projection)
    neutral = prompts.table.assign(bias_score=scores).query("group == 'neutral'")
    by_subject = neutral.groupby("subject")[["bias_score", "share_women"]].mean()
    r = np.corrcoef(by_subject["bias_score"], by_subject["share_women"])[0, 1]
    return {"r": float(r), "n": len(by_subject)}


def measure_classifiers(model: Path, lexicon: Lexicon, *, n: int = 2000) -> dict[str, Any]:
    """Measure the accuracy of both classifiers on new renders, by attribute."""
    scenes, pictures = draw_balanced(lexicon, n, seed=UNSEEN_SEED)
    truth = pd.DataFrame(
        {name: [getattr(s, name) for s in scenes] for name in ("gender", "age", "skin", "subject")}
    )
    people = truth["gender"] != ""
    accuracy: dict[str, Any] = {"n": n, "n_people": int(people.sum())}
    for name in ("classifier", "second_classifier"):
        seen = AttributeClassifier.load(model / name).label(pictures)
        is_right = seen[truth.columns] == truth
        accuracy[name] = {
            **is_right.drop(columns="subject")[people].mean(),
            "subject": is_right["subject"].mean(),
        }
    return accuracy


def measure_pictures(
    model: Path,
    lexicon: Lexicon,
    folder: Path,
    *,
    n_images: int = 200,
    seed: int = 7,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Generate images and measure bias, prompt adherence and recognition; see `summarize`."""
    defaults = generation_settings(model)
    plan = GenerationPlan.build(lexicon, n_images=n_images, seed=seed)
    table = generate(
        load_pipeline(model),
        plan,
        folder,
        guidance_scale=defaults.guidance_scale,
        n_steps=defaults.n_steps,
        revision=model_revision(model),
        progress=progress,
    )
    paths = [folder / name for name in table["file_name"]]
    for name in ("classifier", "second_classifier"):
        seen = AttributeClassifier.load(model / name).label(paths)
        table[f"gender_{name}"], table[f"subject_{name}"] = seen["gender"], seen["subject"]
    made_with = {"n_images": n_images, "guidance_scale": defaults.guidance_scale}
    return summarize(table, lexicon) | made_with


def summarize(table: pd.DataFrame, lexicon: Lexicon) -> dict[str, Any]:
    """Compute the figures of the card from labelled images.

    ``mad`` of the neutral prompts; ``share_correlation`` with the planted shares; ``agreement`` of
    the two classifiers on people; ``adherent`` by asked gender and ``adherence_least`` (the worst
    occupation and gender); ``subject_recognised``, of all images.
    """
    people = table[table["kind"] != "object"]
    neutral = table[table["kind"] == "neutral"]
    is_woman = (neutral["gender_classifier"] == GENDERS[0]).groupby(neutral["subject"])
    shares = is_woman.mean()
    planted = pd.Series({job.name: job.share_women for job in lexicon.occupations})
    counts = np.stack([is_woman.sum(), is_woman.size() - is_woman.sum()], axis=1)
    explicit = table[table["kind"].isin(("female", "male"))]
    asked = np.where(explicit["kind"] == "female", GENDERS[0], GENDERS[1])
    adherent = explicit["gender_classifier"] == asked
    by_occupation = adherent.groupby([explicit["subject"], explicit["kind"]]).mean()
    worst = by_occupation.idxmin()
    return {
        "mad": fairness_figures(counts)["mad"].value,
        "share_correlation": float(np.corrcoef(shares, planted[shares.index])[0, 1]),
        "agreement": float(
            (people["gender_classifier"] == people["gender_second_classifier"]).mean()
        ),
        "adherent": adherent.groupby(explicit["kind"]).mean().to_dict(),
        "adherence_least": {
            "subject": worst[0],
            "kind": worst[1],
            "share": float(by_occupation.min()),
        },
        "subject_recognised": float((table["subject_classifier"] == table["subject"]).mean()),
        "share_women": shares.to_dict(),
    }


def hashes(model: Path) -> dict[str, str]:
    """Hash every weight file of a model folder."""
    return {str(path.relative_to(model)): hash_file(path) for path in sorted(model.rglob(WEIGHTS))}


def thin(losses: list[float], *, n_points: int = 20) -> list[float]:
    """Average a loss curve over ``n_points`` equal stretches."""
    stretches = np.array_split(np.asarray(losses), min(n_points, len(losses)))
    return [round(float(stretch.mean()), 5) for stretch in stretches]
