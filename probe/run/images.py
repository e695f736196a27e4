"""Make the images of a plan with the models of a run, and label them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from probe.images.intervention import Intervention
from probe.images.plan import METADATA, GenerationPlan
from probe.run.evaluation import evaluators
from probe.run.files import MOESD, SIDES
from probe.run.folder import Run
from probe.run.routing import intervention as chosen_intervention

if TYPE_CHECKING:
    import torch


def make_images(
    run: Run,
    pipeline: Any,
    plan: GenerationPlan,
    folder: Path,
    *,
    intervention: Intervention | None = None,
    reuse: Path | Sequence[Path] | None = None,
    known: dict[str, torch.Tensor] | None = None,
    config: Any = None,
    label: str = "",
) -> pd.DataFrame:
    """Make images with `probe.images.generation.generate` and the settings of a run.

    ``config`` is a `GenerateConfig` in place of the run's; progress is reported under ``label``.
    """
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
    )


def make_both_sides(run: Run, plan: GenerationPlan, folder: str, *, label: str) -> pd.DataFrame:
    """Make the images of a plan with the base and the corrected model of a trained run.

    They go to ``folder`` of the run; those that the run has already are copied, and equal images
    are labelled once. Returns a row a side and image: the plan's columns, ``key``, ``side``, and
    one column an attribute and one its ``_confidence``.
    """
    from probe.moesd.model import MoESD

    classifier, pipeline = evaluators.load_classifier(run), run.load_pipeline()
    moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
    earlier = [run.folder / "images" / side for side in SIDES]
    earlier = [path for path in earlier if (path / METADATA).is_file()]
    sides = []
    for side in SIDES:
        is_base = side == "base"
        table = make_images(
            run,
            pipeline,
            plan,
            run.folder / folder / side,
            intervention=None if is_base else chosen_intervention(run, moesd, pipeline),
            reuse=earlier if is_base else [*earlier, run.folder / folder / "base"],
            label=f"{side} images of {label}",
        )
        sides.append(table.assign(side=side))
    images = pd.concat(sides, ignore_index=True)
    distinct = images.drop_duplicates("key")
    names = zip(distinct["side"], distinct["file_name"], strict=True)
    files = [run.folder / folder / side / name for side, name in names]
    seen = classifier.label(files, progress=run.progress_on(f"looking at images of {label}"))
    seen = seen.rename(columns=evaluators.column).assign(key=distinct["key"].to_numpy())
    return images.merge(seen, on="key", how="left")
