"""One model that looks at images of a run: in this process, or on workers piece by piece."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from probe.images.reading import ImageBytes, Images
from probe.io.executors import equal_parts, refuse_other
from probe.run.evaluation.evaluators import (
    evaluators_line,
    faces_line,
    load_classifier,
    load_clip,
    load_whole_classifier,
)
from probe.run.folder import Run

Found = TypeVar("Found")

_PIECE = 500  # images


def look_with(
    run: Run, role: str, files: list[Path], here: Callable[[list[Path]], Found]
) -> list[Found]:
    """What a model sees in all images, or in those of each piece, in their order.

    ``role`` is ``"classifier"`` or ``"selector"``, which label, or ``"clip"``, which embeds.
    ``here`` does in this process what workers do with a model of their own.
    """
    if run.distribute is None:
        return [here(files)]
    parts = [files[part] for part in equal_parts(len(files), _PIECE)]
    pieces = ((n, [ImageBytes.read(file) for file in part]) for n, part in enumerate(parts))
    with closing(run.distribute(partial(_open_one, role, _weights(run, role)), pieces)) as found:
        return [seen for _, seen in sorted(found, key=itemgetter(0))]


def _open_one(role: str, weights: str, run: Run) -> Callable[[Images], Any]:
    refuse_other(f"the {role}", _weights(run, role), weights)
    if role == "clip":
        return load_clip(run).embed
    is_shown_faces = role == "classifier"
    return (load_classifier(run) if is_shown_faces else load_whole_classifier(run, role)).label


def _weights(run: Run, role: str) -> str:
    faces = faces_line(run) if role == "classifier" else ""
    return evaluators_line(run, role) + faces
