"""RIPA: how do attributes lie along the differences of pairs?"""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import ShapeError
from probe.latent.association.result import MeasureResult, as_result, draw_figures
from probe.latent.association.word_sets import as_word_sets, unit_rows
from probe.stats.permutation import sign_flip_p
from probe.stats.resampling import BOOTSTRAP, PERMUTATIONS, Resampling, resampled_weights


def ripa(
    targets_x: Matrix,
    targets_y: Matrix,
    attributes: Matrix,
    *,
    permutations: Resampling = PERMUTATIONS,
    resampling: Resampling = BOOTSTRAP,
) -> MeasureResult:
    """Measure how attributes lie along the differences of pairs (relational inner product).

    ``mean_a mean_i <a, b_i>`` with ``b_i = (x_i - y_i) / ||x_i - y_i||``. The test swaps the two
    words of pairs, i.e. flips signs of the ``b_i``: with one pair, p is always 1.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_pairs, n_features)
        Embeddings of the words of the pairs; row i of both is one pair.
    attributes : ndarray of shape (n_attributes, n_features)
        Embeddings of the attribute words; not normalised, as their lengths belong to the measure.
    permutations, resampling
        As in `rnd`.

    Returns
    -------
    MeasureResult
        In embedding units. 0 means no association; positive that attributes lean to X.
        ``by_word`` is the value of each attribute. The interval draws pairs and attributes anew;
        the value varies much with the pair, so read it before the value.

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, of another width, or the pairs are not aligned.
    DegenerateDataError
        If the two words of a pair have the same embedding.
    ValueError
        If an option is out of range.

    References
    ----------
    Ethayarajh, Duvenaud, Hirst, *Understanding Undesirable Word Embedding Associations*,
    ACL 2019.
    """
    x, y, attributes = as_word_sets(targets_x=targets_x, targets_y=targets_y, attributes=attributes)
    if len(x) != len(y):
        raise ShapeError(
            f"targets_x has {len(x)} words and targets_y {len(y)}; needed pairs: row i of both"
        )
    along = attributes @ unit_rows(x - y, "differences of the pairs").T  # (n_attributes, n_pairs)

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        words = resampled_weights(len(attributes), size, rng)
        drawn: Double = ((words @ along) * resampled_weights(len(x), size, rng)).sum(axis=1)
        return drawn

    p = sign_flip_p(along.mean(axis=0), permutations=permutations)
    draws = draw_figures(of_draw, len(attributes) + len(x), resampling)
    by_word = along.mean(axis=1)
    return as_result(float(by_word.mean()), draws, p, by_word)
