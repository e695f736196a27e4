"""What the classifier and the CLIP of a run see in images, here or on workers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probe.arrays import Double
from probe.images.plan import read_metadata
from probe.images.reading import ImageBytes, Images
from probe.io.artifacts import hash_parts, read_table, write_table
from probe.io.executors import Results, refuse_other
from probe.run.evaluation.evaluators import (
    SUBJECT,
    SUBJECT_SEEN,
    column,
    load_classifier,
    load_clip,
    seen_by,
)
from probe.run.files import LABELS, SIDES
from probe.run.folder import Run, stale_files
from probe.text.templates import fill

if TYPE_CHECKING:
    from probe.images.quality.clip_score import ClipScorer
    from probe.run.evaluation.evaluators import Classifier
    from probe.text.lexicon import Lexicon

Piece = tuple[Images, list[str]]
"""Images of a piece, and their prompts."""

_PIECES = "evaluation/pieces"
_WORK = "looking at images"
_PIECE = 500  # images; a piece that is done is not done again


def labels_made_from(run: Run) -> str:
    """Hash everything the labels depend on: the images and which models look at them."""
    return hash_parts(
        "labels",
        seen_by(run),
        repr(run.lexicon),
        run.hashes(*(f"images/{side}/metadata.jsonl" for side in SIDES)),
    )


def label_images(run: Run, classifier: Classifier) -> pd.DataFrame:
    """Label and score all images of both sides, and keep what was seen; one row an image.

    Columns: ``side, kind, subject, split, seed, prompt, file_name, key``, one an attribute and one
    its ``_confidence``, ``clip_score``. Where faces are looked at, an image without a clear one has
    ``"undetected"`` or ``"ambiguous"`` in place of a value.
    """
    made_from = labels_made_from(run)
    if stale_files(run, made_from, LABELS) is not None:
        table = _images(run)
        labels = table.merge(_look(run, table, classifier), on="key", how="left")
        write_table(run.folder / LABELS, labels, run.provenance("labels", made_from))
    shutil.rmtree(run.folder / _PIECES, ignore_errors=True)
    return read_table(run.folder / LABELS, kind="labels")[0]


def subjects_by_clip(lexicon: Lexicon, files: Images, clip: ClipScorer) -> list[str]:
    """The subject that CLIP sees, of all of a lexicon, where the classifier knows none."""
    subjects = list(lexicon.split_of)
    neutral = lexicon.templates["test"].neutral[0]
    weights = clip.weigh(files, [fill(neutral, subject=subject) for subject in subjects])
    return [subjects[position] for position in weights.argmax(axis=1)]


def _look(run: Run, table: pd.DataFrame, classifier: Classifier) -> pd.DataFrame:
    """What is seen in each distinct image, by its key."""
    # The same key is the same image: of those that the correction left alone, one is enough.
    distinct = table.drop_duplicates("key").reset_index(drop=True)
    models = seen_by(run)
    parts = [distinct.iloc[start : start + _PIECE] for start in range(0, len(distinct), _PIECE)]
    hashes = [hash_parts(models, *rows["key"]) for rows in parts]
    paths = [run.folder / _PIECES / f"{made_from}.parquet" for made_from in hashes]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    pieces = ((number, _files_and_prompts(run, parts[number])) for number in missing)
    found = look_at(run, pieces, lambda: (classifier, load_clip(run)))
    done, progress = len(distinct) - sum(len(parts[n]) for n in missing), run.progress_on(_WORK)
    with closing(found):
        for number, (seen, _) in found:
            seen["key"] = parts[number]["key"].to_numpy()
            write_table(paths[number], seen, run.provenance("piece", hashes[number]))
            done += len(seen)
            if progress is not None:
                progress(done, len(distinct))
    return pd.concat([read_table(path, kind="piece")[0] for path in paths])


def _files_and_prompts(run: Run, rows: pd.DataFrame) -> tuple[list[Path], list[str]]:
    names = zip(rows["side"], rows["file_name"], strict=True)
    return [run.folder / "images" / side / name for side, name in names], rows["prompt"].tolist()


def look_at(
    run: Run,
    pieces: Iterable[tuple[int, tuple[list[Path], list[str]]]],
    open_here: Callable[[], tuple[Classifier, ClipScorer]],
    *,
    is_embedded: bool = False,
) -> Results[int]:
    """Look at pieces here, or on workers, which open the models of `seen_by` themselves.

    Yields, in any order, the number of each piece with a row of labels and CLIP score an image,
    and, if ``is_embedded``, with the embeddings of a CLIP.
    """
    if run.distribute is None:
        here = *open_here(), run.lexicon, is_embedded
        return ((number, _see(*here, *piece)) for number, piece in pieces)
    is_shared = run.distribute.is_shared
    sent = ((n, (ImageBytes.read_all(files, is_shared), of)) for n, (files, of) in pieces)
    return run.distribute(partial(open_models, run.lexicon, seen_by(run), is_embedded), sent)


def look_in_order(
    run: Run,
    files: list[Path],
    prompts: list[str],
    open_here: Callable[[], tuple[Classifier, ClipScorer]],
) -> tuple[pd.DataFrame, Double]:
    """What `look_at` sees in images, with a CLIP's embeddings, of shape (n_images, n_features)."""
    starts = range(0, len(files), _PIECE)
    pieces = ((at, (files[at : at + _PIECE], prompts[at : at + _PIECE])) for at in starts)
    with closing(look_at(run, pieces, open_here, is_embedded=True)) as found:
        tables, embedded = zip(*(seen for _, seen in sorted(found)), strict=True)
    return pd.concat(tables, ignore_index=True), np.concatenate(embedded)


def open_models(
    lexicon: Lexicon, models: str, is_embedded: bool, run: Run
) -> Callable[[Piece], tuple[pd.DataFrame, Double | None]]:
    """Open the models of `seen_by` on a worker, which looks at contents of files."""
    refuse_other("the classifier and the CLIP", seen_by(run), models)
    there = load_classifier(run), load_clip(run), lexicon, is_embedded
    return lambda piece: _see(*there, *piece)


def _see(
    classifier: Classifier,
    clip: ClipScorer,
    lexicon: Lexicon,
    is_embedded: bool,
    files: Images,
    prompts: list[str],
) -> tuple[pd.DataFrame, Double | None]:
    seen = classifier.label(files).rename(columns=column)
    if SUBJECT not in classifier.attributes:
        seen[SUBJECT_SEEN] = subjects_by_clip(lexicon, files, clip)
    seen["clip_score"] = clip.score(files, prompts)
    return seen, clip.embed(files) if is_embedded else None


def _images(run: Run) -> pd.DataFrame:
    sides = []
    for side in SIDES:
        table = read_metadata(run.folder / "images" / side)
        sides.append(table.assign(side=side, split=table["subject"].map(run.lexicon.split_of)))
    columns = ["side", "kind", "subject", "split", "seed", "prompt", "file_name", "key"]
    return pd.concat(sides, ignore_index=True)[columns]
