"""RND: are attributes nearer to one group of words than to another?"""

from __future__ import annotations

import numpy as np

from probe.arrays import Double, Matrix
from probe.latent.association.result import MeasureResult, as_result, draw_figures
from probe.latent.association.word_sets import as_word_sets
from probe.stats.permutation import Alternative, splits_p
from probe.stats.resampling import BOOTSTRAP, PERMUTATIONS, Resampling, resampled_weights


def rnd(
    targets_x: Matrix,
    targets_y: Matrix,
    attributes: Matrix,
    *,
    alternative: Alternative = "two-sided",
    permutations: Resampling = PERMUTATIONS,
    resampling: Resampling = BOOTSTRAP,
) -> MeasureResult:
    """Measure how much farther attributes are from X than from Y (relative norm distance).

    ``mean_a (||a - mean_x x|| - ||a - mean_y y||)``, of the embeddings as they are given:
    normalise them first if their lengths mean nothing. The test splits the words of X and Y anew.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_x, n_features), (n_y, n_features)
        Embeddings of the words of the two groups.
    attributes : ndarray of shape (n_attributes, n_features)
        Embeddings of the attribute words.
    alternative : {"two-sided", "greater", "less"}, default="two-sided"
        What counts as extreme.
    permutations : Resampling
        Number of permutations, if not all are counted, and their seed.
    resampling : Resampling

    Returns
    -------
    MeasureResult
        In embedding units. 0 means that attributes are as far from X as from Y; positive that
        they are nearer to Y. ``by_word`` is the difference of distances of each attribute.

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, or of another width.
    ValueError
        If an option is out of range.

    References
    ----------
    Garg, Schiebinger, Jurafsky, Zou, *Word embeddings quantify 100 years of gender and ethnic
    stereotypes*, PNAS 115 (2018), relative norm distance, which they sum over the attributes; the
    mean does not grow with their number.
    """
    x, y, attributes = as_word_sets(targets_x=targets_x, targets_y=targets_y, attributes=attributes)
    norms = (attributes**2).sum(axis=1)
    inner = np.concatenate([x, y])
    gram, to_attributes = inner @ inner.T, inner @ attributes.T

    def distances(weights: Double, words: slice) -> Double:
        # ||a - m||^2 by inner products: no mean of any draw is ever formed
        own = ((weights @ gram[words, words]) * weights).sum(axis=1, keepdims=True)
        squares = own + norms - 2 * weights @ to_attributes[words]
        found: Double = np.sqrt(np.maximum(squares, 0.0))  # (n_draws, n_attributes)
        return found

    def of_splits(first: Double, second: Double) -> Double:
        every = slice(None)
        found: Double = (distances(first, every) - distances(second, every)).mean(axis=1)
        return found

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        found = distances(resampled_weights(len(x), size, rng), slice(len(x)))
        found -= distances(resampled_weights(len(y), size, rng), slice(len(x), None))
        drawn: Double = (found * resampled_weights(len(attributes), size, rng)).sum(axis=1)
        return drawn

    by_word = np.linalg.norm(attributes - x.mean(axis=0), axis=1)
    by_word -= np.linalg.norm(attributes - y.mean(axis=0), axis=1)
    p = splits_p(
        of_splits,
        len(inner),
        len(x),
        alternative=alternative,
        n_cells=len(inner) + len(attributes),
        permutations=permutations,
    )
    draws = draw_figures(of_draw, len(inner) + len(attributes), resampling)
    return as_result(float(by_word.mean()), draws, p, by_word)
