"""What classifier and CLIP see in every picture of a run, each distinct picture looked at once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd

from probe.artifacts import hash_parts, read_table, write_table
from probe.experiment import judges
from probe.experiment.generating import SIDES
from probe.experiment.run import Run
from probe.images.plan import read_metadata

if TYPE_CHECKING:
    from probe.images.attributes import AttributeClassifier
    from probe.images.quality import ClipScorer

_PIECES = "evaluation/pieces"
_PIECE = 500  # pictures; a piece that is done is not done again


def label_pictures(
    run: Run, classifier: AttributeClassifier, clip: ClipScorer, *, seen_by: str
) -> pd.DataFrame:
    """Label and score all pictures of both sides.

    Parameters
    ----------
    seen_by : str
        Names the weights that look; a piece seen by others is not taken over.

    Returns
    -------
    DataFrame
        One row a picture: ``side``, ``kind``, ``subject``, ``split``, ``seed``, ``prompt``,
        ``file_name``, ``key``, one column an attribute and one its ``_confidence``,
        ``clip_score``.
    """
    table = _pictures(run)
    # The same key is the same picture: of those that the correction left alone, one is enough.
    distinct = table.drop_duplicates("key").reset_index(drop=True)
    pieces = []
    for start in range(0, len(distinct), _PIECE):
        rows = distinct.iloc[start : start + _PIECE]
        made_from = hash_parts(seen_by, *rows["key"])
        path = run.folder / _PIECES / f"{made_from}.parquet"
        if not path.exists():
            files = [
                run.folder / "images" / side / name
                for side, name in zip(rows["side"], rows["file_name"], strict=True)
            ]
            labels = classifier.label(files).rename(columns=judges.column)
            labels["clip_score"] = clip.score(files, rows["prompt"].tolist())
            labels["key"] = rows["key"].to_numpy()
            write_table(path, labels, run.provenance("piece", made_from))
        pieces.append(read_table(path, kind="piece")[0])
        if (tell := run.told("looking at pictures")) is not None:
            tell(start + len(rows), len(distinct))
    return table.merge(pd.concat(pieces), on="key", how="left", validate="many_to_one")


def forget_pieces(run: Run) -> None:
    """Remove the pieces once the whole is written."""
    shutil.rmtree(run.folder / _PIECES, ignore_errors=True)


def _pictures(run: Run) -> pd.DataFrame:
    split = {job.name: "held_out" if job.held_out else "trained" for job in run.lexicon.occupations}
    sides = []
    for side in SIDES:
        table = read_metadata(run.folder / "images" / side)
        sides.append(table.assign(side=side, split=table["subject"].map(split).fillna("")))
    columns = ["side", "kind", "subject", "split", "seed", "prompt", "file_name", "key"]
    return pd.concat(sides, ignore_index=True)[columns]
