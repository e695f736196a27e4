"""Look at each picture once, where both its features and its feature maps are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from probe.arrays import Double
from probe.images.guidance_cache import LEAST_ROWS
from probe.images.quality.features import FeatureExtractor
from probe.io.progress import Progress


class LookOnce:
    """A feature extractor that keeps the features of the pictures whose maps were asked for.

    So who asks for the maps of some files and then for the features of those and of others has
    each opened and seen once. The results equal the extractor's bit for bit: a picture that was
    seen among fewer than `probe.images.guidance_cache.LEAST_ROWS` is seen again among more.

    Parameters
    ----------
    extractor : FeatureExtractor
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.name = extractor.name
        self._extractor = extractor
        self._known: dict[Path, Double] = {}

    def maps(self, files: Sequence[Path]) -> list[torch.Tensor]:
        """Give the feature maps of files; as `FeatureExtractor.maps`."""
        features, maps = self._extractor.see(files)
        if len(files) >= LEAST_ROWS:
            self._known |= dict(zip(files, features, strict=True))
        return maps

    def extract(self, files: Sequence[Path], *, progress: Progress | None = None) -> Double:
        """Give the features of files, shape (n, d); as `FeatureExtractor.extract`."""
        new = [file for file in dict.fromkeys(files) if file not in self._known]
        if 0 < len(new) < LEAST_ROWS:
            again = [file for file in dict.fromkeys(files) if file in self._known]
            new += again[: LEAST_ROWS - len(new)]
        if new:
            found = self._extractor.extract(new, progress=progress)
            self._known |= dict(zip(new, found, strict=True))
        return np.stack([self._known[file] for file in files])
