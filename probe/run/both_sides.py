"""Images of a plan with the base and with the corrected model, and what is seen in them."""

from __future__ import annotations

from functools import partial

import pandas as pd

from probe.images.plan import METADATA, GenerationPlan
from probe.run.evaluation import evaluators
from probe.run.evaluation.looking import look_with
from probe.run.files import SIDES
from probe.run.folder import Run
from probe.run.images import make_images
from probe.run.intervention import intervention


def make_both_sides(run: Run, plan: GenerationPlan, folder: str, *, label: str) -> pd.DataFrame:
    """Make the images of a plan with the base and the corrected model of a trained run.

    They go to ``folder`` of the run; those that the run has already are copied, and equal images
    are labelled once. One row a side and image: the plan's columns, ``key``, ``side`` and labels.
    """
    classifier, moesd = evaluators.load_classifier(run), run.load_correction()
    pipeline = run.load_pipeline(encoders=moesd.encoders)
    corrected = intervention(run, moesd, pipeline, plan.table["prompt"])
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
            intervention=None if is_base else corrected,
            reuse=earlier if is_base else [*earlier, run.folder / folder / "base"],
            label=f"{side} images of {label}",
        )
        sides.append(table.assign(side=side))
    images = pd.concat(sides, ignore_index=True)
    distinct = images.drop_duplicates("key")
    names = zip(distinct["side"], distinct["file_name"], strict=True)
    files = [run.folder / folder / side / name for side, name in names]
    here = partial(classifier.label, progress=run.progress_on(f"looking at images of {label}"))
    seen = pd.concat(look_with(run, "classifier", files, here), ignore_index=True)
    seen = seen.rename(columns=evaluators.column).assign(key=distinct["key"].to_numpy())
    return images.merge(seen, on="key", how="left")
