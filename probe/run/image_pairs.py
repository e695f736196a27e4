"""The pictures of a plan by both models, from the same noise, and what is seen in them."""

from __future__ import annotations

import pandas as pd

from probe.images.plan import METADATA, GenerationPlan
from probe.moesd.model import MoESD
from probe.run.evaluation import evaluators
from probe.run.files import MOESD, SIDES
from probe.run.folder import Run
from probe.run.image_batches import draw_pictures
from probe.run.routing import intervention

_PIECE = 500  # pictures that are classified between two reports of progress


def draw_both(run: Run, plan: GenerationPlan, folder: str, *, label: str) -> pd.DataFrame:
    """Make the pictures of a plan with the plain and with the corrected model, and label them.

    What the run's own pictures show already is copied, and equal pictures are looked at once.

    Parameters
    ----------
    run : Run
        Its correction has been trained.
    plan : GenerationPlan
    folder : str
        Relative to the run folder; gets a folder a side.
    label : str
        What the pictures show, in the name of the progress.

    Returns
    -------
    DataFrame
        One row a side and picture: the plan's columns, ``key``, ``side``, and one column an
        attribute and one its ``_confidence``.
    """
    classifier, pipeline = evaluators.load_classifier(run), run.load_pipeline()
    moesd, sides = MoESD.load(run.folder / MOESD, run.load_encoder()), []
    earlier = [run.folder / "images" / side for side in SIDES]
    earlier = [path for path in earlier if (path / METADATA).is_file()]
    for side in SIDES:
        table = draw_pictures(
            run,
            pipeline,
            plan,
            run.folder / folder / side,
            intervention=intervention(run, moesd, pipeline) if side == "moesd" else None,
            reuse=[*earlier, run.folder / folder / "base"] if side == "moesd" else earlier,
            label=f"{side} pictures of {label}",
        )
        sides.append(table.assign(side=side))
    pictures = pd.concat(sides, ignore_index=True)
    distinct, pieces = pictures.drop_duplicates("key"), []
    progress = run.progress_on(f"looking at pictures of {label}")
    for start in range(0, len(distinct), _PIECE):
        rows = distinct.iloc[start : start + _PIECE]
        files = [
            run.folder / folder / side / name
            for side, name in zip(rows["side"], rows["file_name"], strict=True)
        ]
        seen = classifier.label(files).rename(columns=evaluators.column)
        pieces.append(seen.assign(key=rows["key"].to_numpy()))
        if progress is not None:
            progress(start + len(rows), len(distinct))
    return pictures.merge(pd.concat(pieces), on="key", how="left")
