"""Training images: an imagefolder, balanced by the attribute's value within each subject."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from probe.arrays import Float32
from probe.errors import DataError
from probe.images.plan import read_metadata
from probe.moesd.config import MAX_EXAMPLES


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
        table = read_metadata(folder)
        counts = table.groupby(["subject", "value"]).size().unstack(fill_value=0)
        smallest = counts.min(axis=1) if counts.shape[1] > 1 else counts.iloc[:, 0] * 0
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

    def pixels(self) -> Float32:
        """Read the images, shape (n, 3, height, width), from -1 to 1."""
        root = self.folder.resolve()
        images = []
        for name in self.table["file_name"]:
            path = (root / name).resolve()
            if not path.is_relative_to(root):
                raise DataError(f"{name!r} lies outside {self.folder}; correct metadata.jsonl")
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1)
        return np.stack(images).transpose(0, 3, 1, 2)
