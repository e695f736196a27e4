"""Skin tone from pixels: agreement with what tinytown draws, and how far other light moves it.

Portraits of tinytown whose skin is drawn clearly, seen whole and as a face; then the same faces in
other light. With --pictures, a folder of images with a table of labels (docs/files.md), the faces
that MediaPipe finds: the median tone by the label of perceived race, and what light moves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from probe.audit.readers.image_folders import find_images
from probe.images.faces.classifier import FaceClassifier
from probe.images.faces.detectors import open_detector
from probe.images.faces.face import Face, crop_face
from probe.images.reading import open_image
from probe.images.skin_tone import SCALES, SkinTone
from probe.text.lexicon import Lexicon
from probe.tinytown.portrait import SKIN_COLORS
from probe.tinytown.renderer import render
from probe.tinytown.world import SKINS, Town

FACE = [Face(15, 14, 24, 30)]
"""Where a portrait of tinytown has its face, to 2 pixels."""


def scaled(*factors: float) -> Callable[[Image.Image], Image.Image]:
    """Multiply red, green and blue."""
    return lambda image: pixels(image, lambda levels: levels * np.array(factors))


def gamma(power: float) -> Callable[[Image.Image], Image.Image]:
    """Raise each channel, from 0 to 1, to a power."""
    return lambda image: pixels(image, lambda levels: levels**power)


def pixels(image: Image.Image, change: Callable[[Any], Any]) -> Image.Image:
    """Change the channels of an image, from 0 to 1."""
    levels = np.clip(change(np.asarray(image) / 255), 0, 1)
    return Image.fromarray(np.round(levels * 255).astype(np.uint8))


LIGHT = {
    "brightness 0.8": scaled(0.8, 0.8, 0.8),
    "brightness 1.2": scaled(1.2, 1.2, 1.2),
    "gamma 0.8": gamma(0.8),
    "gamma 1.25": gamma(1.25),
    "warmer (red 1.1, blue 0.9)": scaled(1.1, 1.0, 0.9),
    "colder (red 0.9, blue 1.1)": scaled(0.9, 1.0, 1.1),
}


def tones(images: Sequence[Image.Image], scale: str = "skin-tone-monk") -> Any:
    """Place of each image's value on its scale, 0 the lightest; NaN without one."""
    places = {value: place for place, value in enumerate(SCALES[scale])}
    return SkinTone(scale).label(images)["skin_tone"].map(places).to_numpy(dtype=float)


def moved(images: Sequence[Image.Image]) -> list[dict[str, Any]]:
    """Say by how many tones and groups each light moves images; positive is darker."""
    before, rows = {scale: tones(images, scale) for scale in SCALES}, []
    for light, change in LIGHT.items():
        row: dict[str, Any] = {"light": light}
        changed = [change(image) for image in images]
        for scale in SCALES:
            by = tones(changed, scale) - before[scale]
            seen = by[~np.isnan(by)]
            row |= {f"{scale}: mean": seen.mean(), f"{scale}: others": (seen != 0).mean()}
        rows.append(row | {"undetected": int(np.isnan(by).sum()), "n": len(images)})
    return rows


def town(n: int, seed: int) -> dict[str, Any]:
    """Compare with the truth of tinytown."""
    world = Town(Lexicon.load(), seed=seed)
    scenes = [world.person() for _ in range(n)]
    whole = [render(scene) for scene in scenes]
    faces = [face for of in whole if not isinstance(face := crop_face(of, FACE, margin=0.25), str)]
    truth = np.array([SKINS.index(scene.skin) for scene in scenes])
    clear = np.array(["skin" not in scene.unclear for scene in scenes])
    drawn = tones([Image.new("RGB", (32, 32), SKIN_COLORS[skin]) for skin in SKINS])
    found: dict[str, Any] = {}
    for name, images in {"whole": whole, "face": faces}.items():
        group, tone = tones(images, "skin-tone"), tones(images)
        confusion = pd.crosstab(
            pd.Series(truth[clear], name="true"), pd.Series(group[clear], name="seen")
        )
        found[name] = {
            "n": n,
            "group, all": np.mean(group == truth),
            "n clear": int(clear.sum()),
            "group, clear": np.mean((group == truth)[clear]),
            "tone, clear": np.mean((tone == drawn[truth])[clear]),
            "within one tone, clear": np.mean((abs(tone - drawn[truth]) <= 1)[clear]),
            "confusion": confusion.to_numpy().tolist(),
        }
    face_of = [face for face, is_clear in zip(faces, clear, strict=True) if is_clear]
    return found | {"light": moved(face_of)}


def photographs(folder: Path, column: str) -> dict[str, Any]:
    """Compare with labels of people, which are of something else: an association."""
    images = find_images(folder)
    labels = pd.read_csv(folder / "labels.csv").set_index("file_name")[column]
    opened = [open_image(path) for path in images.files]
    names = [images.name(row) for row in range(len(images))]
    detector = open_detector("mediapipe")
    found: dict[str, Any] = {"n": len(opened)}
    table = pd.DataFrame({"label": labels.loc[names].to_numpy()})
    for scale in SCALES:
        seen = FaceClassifier(SkinTone(scale), detector, margin=0.25, whole="")
        values = seen.label_opened(opened, names=names)["skin_tone"]
        table[scale] = values
        found[scale] = pd.crosstab(table["label"], values).to_dict("index")
    places = {value: place + 1 for place, value in enumerate(SCALES["skin-tone-monk"])}
    tone = table["skin-tone-monk"].map(places)
    found["median tone"] = (
        tone.groupby(table["label"]).quantile([0.25, 0.5, 0.75]).unstack().to_dict("index")
    )
    crops = (
        crop_face(image, detector.find([image], names=[""])[0], margin=0.25) for image in opened
    )
    return found | {"light": moved([face for face in crops if not isinstance(face, str)])}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="portraits of tinytown")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--pictures", type=Path, help="a folder with labels.csv")
    parser.add_argument("--column", default="race", help="column of the labels")
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    found = town(given.n, given.seed)
    if given.pictures:
        found |= {"pictures": photographs(given.pictures, given.column)}
    text = json.dumps(found, indent=1, default=float)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
