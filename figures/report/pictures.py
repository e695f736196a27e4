"""Images inside the page: figures that were drawn, and pairs of generated images."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from figures.images import load_image
from figures.registry import all_figures
from figures.sources import RunFiles
from probe.errors import ArtifactError, DataError, StageError
from probe.run.files import SIDES

if TYPE_CHECKING:
    from pandas import DataFrame
    from PIL import Image

N_SUBJECTS = 48
"""Occupations whose images can be looked at; of more, as many, spread over the labour shares."""
N_PAIRS = (4, 2, 1, 0)
"""Pairs of images of an occupation: the first number with which the page is small enough."""
THUMBNAIL = 128
"""Images are shrunk to this many pixels."""
LARGEST_VECTOR = 300_000
"""Bytes above which a figure has so many points that its pixels are smaller."""
SCALE = 0.65
"""Pixels of the page per pixel of a drawn figure, of which there are 200 an inch."""

_UNSEEN = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.S)


def drawn_figure(files: RunFiles, name: str) -> dict[str, Any]:
    """Read a figure that has been drawn, and check that it shows the results of today.

    Its SVG follows light and dark pages; a figure without one is shown as pixels.
    """
    from PIL.Image import DecompressionBombError

    from probe.images.reading import check_size, open_file

    entry = all_figures()[name]
    path = files.run / "figures" / f"{name}.png"
    if not path.is_file():
        raise StageError(f"{path} is missing; run `moesd-probe visualize {files.run}` first")
    made_from = files.provenance("figure", *entry.reads).made_from
    try:
        with open_file(path) as image:
            check_size(image, str(path))
            width, height = image.size
            origin = json.loads(image.info.get("Description", "{}"))
            vector = _vector(path.with_suffix(".svg"), made_from)
            source = vector or as_webp(image.convert("RGB"), quality=75, method=4)
    except (OSError, ValueError, DataError, DecompressionBombError) as error:
        raise ArtifactError(
            f"{path} is not an image of ours; run `moesd-probe visualize {files.run}` again"
        ) from error
    if origin.get("made_from") != made_from:
        raise StageError(
            f"{path} was drawn from other results than are in the run; run `moesd-probe "
            f"visualize {files.run}` again"
        )
    return {
        "source": source,
        "width": round(width * SCALE),
        "height": round(height * SCALE),
        "caption": entry.caption,
        "alt": entry.alt,
    }


def image_pairs(files: RunFiles, *, n_pairs: int) -> list[dict[str, Any]]:
    """Shrink the first pairs of images of each occupation, with what is perceived in them.

    Each occupation has its ``subject``, ``split`` and ``pairs``; a pair has its ``seed`` and for
    each side ``{"image", "perceived"}``. The seeds are the first ones: none is selected.
    """
    attribute = str(files.json("quality")["attribute"])
    labels = files.table("labels")
    labels = labels[labels["kind"] == "neutral"].sort_values("file_name")
    found: list[dict[str, Any]] = []
    if n_pairs == 0:
        return found
    for subject in _subjects(files.table("subjects"), set(labels["subject"])):
        own = labels[labels["subject"] == subject]
        pairs = []
        for name in own["file_name"].unique()[:n_pairs]:
            rows = own[own["file_name"] == name].set_index("side")
            sides = {
                side: {
                    "image": thumbnail(files, side, name),
                    "perceived": str(rows.loc[side, attribute]),
                }
                for side in SIDES
            }
            pairs.append({"seed": int(rows["seed"].iloc[0]), **sides})
        found.append({"subject": subject, "split": str(own["split"].iloc[0]), "pairs": pairs})
    return found


def _subjects(subjects: DataFrame, present: set[str]) -> list[str]:
    """Occupations in the order of their labour share, evenly thinned out if there are many."""
    rows = subjects[subjects["subject"].isin(present)]
    names = rows.sort_values(["share_women", "subject"])["subject"].tolist()
    chosen = np.unique(np.linspace(0, len(names) - 1, min(N_SUBJECTS, len(names))).round())
    return [str(names[int(i)]) for i in chosen]


def thumbnail(files: RunFiles, side: str, file_name: str) -> str:
    """Shrink a generated image, as the source of an ``img``."""
    image = load_image(files.run / "images" / side, file_name)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return as_webp(image, quality=80, method=4)


def _vector(path: Path, made_from: str) -> Markup | None:
    """Source of an SVG of the same results, without what is not seen; None if it cannot be used."""
    from probe.images.reading import check_size, open_file

    svg = path.read_text(encoding="utf-8") if path.is_file() else ""
    if made_from not in svg:
        return None

    def compact(found: re.Match[str]) -> str:
        with open_file(io.BytesIO(base64.b64decode(found[1]))) as image:
            check_size(image, path.name)
            return as_webp(image, quality=75, method=4)

    svg = re.sub(r"data:image/png;base64,([^\"]+)", compact, svg)
    svg = re.sub(r"([1-9]\d*\.\d\d)\d+", r"\1", _UNSEEN.sub("", svg))
    if len(svg := re.sub(r"\s*\n\s*", " ", svg)) > LARGEST_VECTOR:
        return None
    # In an attribute in double quotes; base64 would take a third more.
    for character, code in (("%", "%25"), ("#", "%23"), ("&", "&amp;")):
        svg = svg.replace(character, code)
    svg = svg.replace('"', "%22" if "'" in svg else "'")
    return Markup(f"data:image/svg+xml,{svg}")


def as_webp(image: Image.Image, **options: Any) -> str:
    """Write an image as the source of an ``img``."""
    content = io.BytesIO()
    image.save(content, "WEBP", **options)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
