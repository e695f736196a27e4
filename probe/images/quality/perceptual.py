"""How far pictures move as a vision model sees them, layer by layer and place by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from probe.arrays import Double
from probe.errors import DataError, ShapeError
from probe.images.pictures import Pictures
from probe.io.progress import Progress


class GivesMaps(Protocol):
    """`FeatureExtractor`, or `LookOnce` around it."""

    def maps(self, images: Any, /) -> list[torch.Tensor]:
        """One Tensor a layer, (n, n_places, n_features)."""


def perceptual_distances(
    extractor: GivesMaps,
    before: Pictures,
    after: Pictures,
    *,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Double:
    """Compute the distance of each pair of pictures in all feature maps of a vision model.

    See `map_distances`. It is the form of LPIPS without what makes LPIPS, the weights learned
    from people's judgements: how far apart two pictures look to a person it does not claim.

    Parameters
    ----------
    extractor : FeatureExtractor or LookOnce
        Of a model that gives its hidden states: transformers and convolutional ones alike.
    before, after : sequence of paths or PIL images, or ndarray (n_pairs, height, width, channels)
        Row i of both is a pair.
    batch_size : int, default=128
        Pairs in memory at a time.
    progress : callable, optional
        Called with (done, total) pairs.

    Returns
    -------
    ndarray of shape (n_pairs,)
        From 0 (the same feature maps) to 4; 2 is what unrelated directions give. Distances in the
        features of different models cannot be compared.

    Raises
    ------
    ShapeError, DataError
        If there are not as many pictures on both sides, there are none, or one cannot be read.
    ModelError
        If the model gives no hidden states.
    """
    if len(before) != len(after):
        raise ShapeError(f"there are {len(before)} and {len(after)} pictures; needed pairs")
    if not len(before):
        raise DataError("there are no pairs of pictures; needed at least 1")
    found = []
    for start in range(0, len(before), batch_size):
        rows = slice(start, start + batch_size)
        found.append(map_distances(*(extractor.maps(of[rows]) for of in (before, after))))
        if progress is not None:
            progress(min(start + batch_size, len(before)), len(before))
    return np.concatenate(found)


def map_distances(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> Double:
    """Compare pairs of feature maps, each place by the direction of its features.

    ``d = mean_l mean_p || u_lp / ||u_lp|| - v_lp / ||v_lp|| ||^2`` over layers l and places p:
    equation 1 of Zhang et al. with all weights 1, and the mean over layers in place of the sum, so
    that deeper models have no larger distances. It is ``2 - 2 cos`` of the features, averaged.

    Parameters
    ----------
    before, after : sequence of Tensor, one a layer, each (n_pairs, n_places, n_features)
        A place at which all features are 0 has no direction; it is 0 from another such place and
        1 from any other.

    Returns
    -------
    ndarray of shape (n_pairs,)
        From 0 to 4.

    Raises
    ------
    ShapeError
        If the layers differ in number or shape.

    References
    ----------
    Zhang, Isola, Efros, Shechtman, Wang, *The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric*, CVPR 2018.
    """
    shapes = [[tuple(layer.shape) for layer in side] for side in (before, after)]
    if shapes[0] != shapes[1] or not shapes[0] or any(len(shape) != 3 for shape in shapes[0]):
        raise ShapeError(
            f"feature maps have the shapes {shapes[0][:3]} and {shapes[1][:3]}; needed the same "
            "layers, each (n_pairs, n_places, n_features)"
        )
    total = torch.zeros(shapes[0][0][0], dtype=torch.float64)
    for u, v in zip(before, after, strict=True):
        apart = torch.nn.functional.normalize(u.double(), dim=2)
        apart = apart - torch.nn.functional.normalize(v.double(), dim=2)
        total += apart.square().sum(dim=2).mean(dim=1).cpu()  # (n_pairs,)
    distances: Double = (total / len(before)).numpy()
    return distances
