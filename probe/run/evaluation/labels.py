"""What classifier and CLIP see in every image of a run, each distinct image looked at once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd

from probe.images.plan import read_metadata
from probe.io.artifacts import hash_parts, read_table, write_table
from probe.run.evaluation import evaluators
from probe.run.files import LABELS, SIDES
from probe.run.folder import Run, lexicon_line, stale_files
from probe.text.templates import fill

if TYPE_CHECKING:
    from pathlib import Path

    from probe.images.attributes import AttributeClassifier
    from probe.images.faces.classifier import FaceClassifier
    from probe.images.quality.clip_score import ClipScorer

    Classifier = AttributeClassifier | FaceClassifier

_PIECES = "evaluation/pieces"
_PIECE = 500  # images; a piece that is done is not done again


def labels_made_from(run: Run) -> str:
    """Hash everything the labels depend on: the images and which models look at them."""
    return hash_parts(
        "labels",
        _seen_by(run),
        lexicon_line(run.lexicon),
        run.hashes(*(f"images/{side}/metadata.jsonl" for side in SIDES)),
    )


def label_images(run: Run, classifier: Classifier) -> pd.DataFrame:
    """Label and score all images of both sides, and keep what was seen.

    Returns
    -------
    DataFrame
        One row an image: ``side``, ``kind``, ``subject``, ``split``, ``seed``, ``prompt``,
        ``file_name``, ``key``, one column an attribute and one its ``_confidence``,
        ``clip_score``. Where faces are looked at, an image without a clear one has
        ``"undetected"`` or ``"ambiguous"`` in place of a value.
    """
    made_from = labels_made_from(run)
    if stale_files(run, made_from, LABELS) is not None:
        table = _images(run)
        labels = table.merge(_look(run, table, classifier), on="key", how="left")
        write_table(run.folder / LABELS, labels, run.provenance("labels", made_from))
    shutil.rmtree(run.folder / _PIECES, ignore_errors=True)
    return read_table(run.folder / LABELS, kind="labels")[0]


def subjects_by_clip(run: Run, files: list[Path], clip: ClipScorer) -> list[str]:
    """The subject that CLIP sees, of all of the run, where the classifier knows none."""
    subjects = [*(job.name for job in run.lexicon.occupations), *run.lexicon.objects]
    neutral = run.lexicon.neutral_templates[0]
    weights = clip.weigh(files, [fill(neutral, subject=subject) for subject in subjects])
    return [subjects[position] for position in weights.argmax(axis=1)]


def _seen_by(run: Run) -> str:
    folders = (
        evaluators.evaluator_folder(run, "classifier"),
        evaluators.evaluator_folder(run, "clip"),
    )
    return evaluators.evaluators_line(run, *folders) + evaluators.faces_line(run)


def _look(run: Run, table: pd.DataFrame, classifier: Classifier) -> pd.DataFrame:
    """What is seen in each distinct image, by its key; in pieces that are written one by one."""
    # The same key is the same image: of those that the correction left alone, one is enough.
    distinct = table.drop_duplicates("key").reset_index(drop=True)
    seen_by = _seen_by(run)
    clip, pieces = evaluators.load_clip(run), []
    for start in range(0, len(distinct), _PIECE):
        rows = distinct.iloc[start : start + _PIECE]
        made_from = hash_parts(seen_by, *rows["key"])
        path = run.folder / _PIECES / f"{made_from}.parquet"
        if not path.exists():
            files = [
                run.folder / "images" / side / name
                for side, name in zip(rows["side"], rows["file_name"], strict=True)
            ]
            seen = classifier.label(files).rename(columns=evaluators.column)
            if evaluators.SUBJECT not in classifier.attributes:
                seen[evaluators.SUBJECT_SEEN] = subjects_by_clip(run, files, clip)
            seen["clip_score"] = clip.score(files, rows["prompt"].tolist())
            seen["key"] = rows["key"].to_numpy()
            write_table(path, seen, run.provenance("piece", made_from))
        pieces.append(read_table(path, kind="piece")[0])
        if (progress := run.progress_on("looking at images")) is not None:
            progress(start + len(rows), len(distinct))
    return pd.concat(pieces)


def _images(run: Run) -> pd.DataFrame:
    split = {job.name: "held_out" if job.held_out else "trained" for job in run.lexicon.occupations}
    sides = []
    for side in SIDES:
        table = read_metadata(run.folder / "images" / side)
        sides.append(table.assign(side=side, split=table["subject"].map(split).fillna("")))
    columns = ["side", "kind", "subject", "split", "seed", "prompt", "file_name", "key"]
    return pd.concat(sides, ignore_index=True)[columns]
