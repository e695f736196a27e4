"""The training card: figures of a trained tinytown, measured against known truth."""

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
from probe.tinytown.stages import ATTRIBUTES, CLASSIFIERS, draw_balanced
from probe.tinytown.world import GENDERS

WEIGHTS = "*.safetensors"
UNSEEN_SEED = 99


def measure_encoder(model: Path, lexicon: Lexicon, name: str | None = None) -> dict[str, float]:
    """Correlate the text bias score of the occupations (positive: male) with the planted shares.

    ``name`` is a text encoder of the model, its first one by default.
    """
    encoder = TextEncoder.load(model, encoder=name)
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


def measure_classifiers(
    model: Path, lexicon: Lexicon, *, n: int = 4000
) -> dict[str, dict[str, pd.DataFrame]]:
    """Count how both classifiers see new renders, whose truth is known.

    Returns for each classifier and attribute a table of columns ``true``, ``seen`` and ``count``,
    as `probe.audit.misclassification` reads it.
    """
    scenes, pictures = draw_balanced(lexicon, n, seed=UNSEEN_SEED)
    counted: dict[str, dict[str, pd.DataFrame]] = {}
    for name in CLASSIFIERS:
        seen = AttributeClassifier.load(model / name).label(pictures)
        counted[name] = {}
        for attribute in ATTRIBUTES:
            truth = pd.Series([getattr(scene, attribute) for scene in scenes], name="true")
            pairs = pd.DataFrame({"true": truth, "seen": seen[attribute]})[truth != ""]
            counted[name][attribute] = pairs.value_counts(sort=False).reset_index(name="count")
    return counted


def share_of_errors(counted: pd.DataFrame) -> float:
    """Return the share of images that are seen as another value than the true one."""
    return float(counted.query("true != seen")["count"].sum() / counted["count"].sum())


def measure_pictures(
    model: Path,
    lexicon: Lexicon,
    folder: Path,
    *,
    n_images: int = 200,
    guidance_scale: float | None = None,
    seed: int = 7,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Generate images and measure bias, prompt adherence and recognition; see `summarize`."""
    defaults = generation_settings(model)
    scale = defaults.guidance_scale if guidance_scale is None else guidance_scale
    plan = GenerationPlan.build(lexicon, n_images=n_images, seed=seed)
    table = generate(
        load_pipeline(model),
        plan,
        folder,
        guidance_scale=scale,
        n_steps=defaults.n_steps,
        revision=model_revision(model),
        progress=progress,
    )
    paths = [folder / name for name in table["file_name"]]
    for name in CLASSIFIERS:
        seen = AttributeClassifier.load(model / name).label(paths)
        for attribute in ATTRIBUTES:
            table[f"{attribute}_{name}"] = seen[attribute]
    return summarize(table, lexicon) | {"n_images": n_images, "guidance_scale": scale}


def summarize(table: pd.DataFrame, lexicon: Lexicon) -> dict[str, Any]:
    """Compute the figures of the card from labelled images.

    ``mad`` of the neutral prompts; ``share_correlation`` with the planted shares; ``agreement`` of
    the two classifiers on people; ``adherent`` by asked gender and ``adherence_least`` (the worst
    occupation and gender); ``subject_recognised``, of all images; ``shares_by_gender`` of each
    age and skin tone.
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
        "shares_by_gender": {
            attribute: pd.crosstab(
                neutral["gender_classifier"], neutral[f"{attribute}_classifier"], normalize="index"
            ).to_dict("index")
            for attribute in ("age", "skin")
        },
    }


def hashes(model: Path) -> dict[str, str]:
    """Hash every weight file of a model folder."""
    return {str(path.relative_to(model)): hash_file(path) for path in sorted(model.rglob(WEIGHTS))}


def thin(losses: list[float], *, n_points: int = 20) -> list[float]:
    """Average a loss curve over ``n_points`` equal stretches."""
    stretches = np.array_split(np.asarray(losses), min(n_points, len(losses)))
    return [round(float(stretch.mean()), 5) for stretch in stretches]
