"""Training images: an imagefolder, balanced by the attribute's value within each subject."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import ImageOps

from probe.arrays import Float32
from probe.errors import DataError
from probe.images.models.lookup import image_model
from probe.images.plan import METADATA, read_metadata
from probe.images.reading import open_image
from probe.io.files import inside
from probe.io.lines import read_json
from probe.moesd.config import MAX_EXAMPLES
from probe.text.captions.classification import GENDERED, classify
from probe.text.captions.counterfactuals import neutralise
from probe.text.prompt_files import PROMPT_NAMES

_BATCH = 64  # images read at a time


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with their neutral prompts."""

    table: pd.DataFrame
    """Columns ``file_name``, ``prompt``, ``subject``, ``value``; equally many rows for each value
    of a subject."""
    folder: Path

    @classmethod
    def read(cls, folder: Path, *, limit: int = MAX_EXAMPLES, seed: int = 0) -> Examples:
        """Read ``metadata.jsonl`` and balance it: at most ``limit`` images, divided over subjects.

        An `ArtifactError` says that there is none, a `DataError` that it cannot be balanced.
        """
        return cls.balanced(read_metadata(folder), folder, limit=limit, seed=seed)

    @classmethod
    def read_pairs(cls, folder: Path, *, without: Sequence[str]) -> Examples:
        """Choose pairs of a user's images and captions: at most 1,500, balanced.

        ``docs/files.md`` shows the folder. Captions with a word of ``without`` are left out.
        """
        table = _captions(folder)
        if "value" not in table:
            table["value"] = [classify(caption).category for caption in table["prompt"]]
            table = table[table["value"].isin(GENDERED[:2])]
            table = table.assign(prompt=[neutralise(of) for of in table["prompt"]])
        hidden = rf"(?i)\b(?:{'|'.join(map(re.escape, without))})s?\b" if without else "(?!)"
        table = table[table["prompt"].notna() & ~table["prompt"].fillna("").str.contains(hidden)]
        if "subject" not in table:
            table = table.assign(subject="")
        columns = ["file_name", "prompt", "subject", "value"]
        return cls.balanced(table[columns].reset_index(drop=True), folder)

    @classmethod
    def balanced(
        cls, table: pd.DataFrame, folder: Path, *, limit: int = MAX_EXAMPLES, seed: int = 0
    ) -> Examples:
        """Choose equally many images of each value of a subject; see `read`."""
        counts = table.groupby(["subject", "value"]).size().unstack(fill_value=0)
        smallest = counts.min(axis=1) if counts.shape[1] > 1 else counts.sum(axis=1) * 0
        usable = smallest[smallest > 0]
        if usable.empty:
            raise DataError(
                f"no subject in {folder} has images of two values; counts: {counts.to_dict()}"
            )
        share = limit // (counts.shape[1] * len(usable))
        if share == 0:
            raise DataError(
                f"{limit} examples are too few for {counts.shape[1]} values of {len(usable)} "
                f"subjects; raise n_examples to {counts.shape[1] * len(usable)}"
            )
        rng = np.random.default_rng(seed)
        chosen = []
        for (subject, _), rows in table.groupby(["subject", "value"]):
            if subject in usable.index:
                n = min(int(usable[subject]), share)
                chosen.extend(rng.choice(rows.index.to_numpy(), n, replace=False))
        return cls(table.loc[sorted(chosen)].reset_index(drop=True), Path(folder))

    def __len__(self) -> int:
        return len(self.table)

    def path(self, name: str) -> Path:
        """Return the file of an image, which must be in the folder."""
        if not (path := inside(self.folder, str(name))).is_file():
            raise DataError(f"{self.folder} has no image {name!r}, which its captions name")
        return path

    def pixels(self, rows: slice = slice(None), *, size: tuple[int, int] | None = None) -> Float32:
        """Read images, shape (n, 3, height, width), from -1 to 1.

        Images that are not of ``size``, width and height, are scaled and cropped to it.
        """
        images = []
        for name in self.table["file_name"][rows]:
            image = open_image(self.path(name))
            if size is not None and image.size != size:
                image = ImageOps.fit(image, size)
            images.append(np.asarray(image, dtype=np.float32) / 127.5 - 1)
        return np.stack(images).transpose(0, 3, 1, 2)

    def batches(self, pipeline: Any) -> Iterator[Float32]:
        """Read the images part by part, in the size of a pipeline; see `pixels`."""
        _, height, width = image_model(pipeline).latent_shape
        size = width * pipeline.vae_scale_factor, height * pipeline.vae_scale_factor
        for start in range(0, len(self), _BATCH):
            yield self.pixels(slice(start, start + _BATCH), size=size)


def _captions(folder: Path) -> pd.DataFrame:
    """Read file names and captions (``prompt``) of a folder, in either layout."""
    files = [path for path in folder.glob("*.json") if path.is_file()]
    if (folder / METADATA).is_file():
        table = read_metadata(folder)
        name = next((name for name in PROMPT_NAMES if name in table), None)
        if name is None:
            raise DataError(
                f"{folder / METADATA} has the columns {list(table)}; needed one of captions, such "
                "as 'text'"
            )
        return table.assign(prompt=table[name])
    if len(files) != 1:
        raise DataError(
            f"{folder} has no {METADATA} and {len(files)} JSON files; needed one of captions"
        )
    data = read_json(files[0])
    try:
        names = {image["id"]: image["file_name"] for image in data["images"]}
        pairs = [(names[of["image_id"]], of["caption"]) for of in data["annotations"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{files[0]} is no file of captions like COCO's ({error!r}); needed 'images' with id "
            "and file_name, and 'annotations' with image_id and caption"
        ) from error
    return pd.DataFrame(pairs, columns=["file_name", "prompt"]).drop_duplicates("file_name")
