"""MAC: how far are words from sets of attributes?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError
from probe.latent.association.result import MeasureResult, as_result, draw_figures
from probe.latent.association.word_sets import as_unit_sets
from probe.stats.bootstrap import resampled_weights
from probe.stats.permutation import sign_flip_p


def mac(
    targets: Sequence[Matrix],
    attributes: Sequence[Matrix],
    *,
    n_permutations: int = 10_000,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> MeasureResult:
    """Measure how far targets are from sets of attributes (mean average cosine similarity).

    The mean over all targets t and attribute sets A of ``mean_a (1 - cos(t, a))``: in spite of
    its name a distance. It compares one embedding before and after a correction, for embeddings
    have a mean cosine of their own: a value other than 1 is no proof of bias.

    Parameters
    ----------
    targets : sequence of ndarray of shape (n_words, n_features)
        Embeddings of each set of target words.
    attributes : sequence of ndarray of shape (n_words, n_features)
        Embeddings of each set of attribute words; every set has the same weight.
    n_permutations, n_bootstrap, seed
        As in `rnd`.

    Returns
    -------
    MeasureResult
        From 0 to 2. 1 means that targets are orthogonal to attributes on average, below 1 that
        they are alike. ``by_word`` is the value of each target, in the order given. ``p`` tests
        that the targets' values lie symmetrically about 1 (sign flips).

    Raises
    ------
    ShapeError, DataError
        If there is no set, or a set is empty, not finite, or of another width.
    DegenerateDataError
        If a row is zero.
    ValueError
        If an option is out of range.

    References
    ----------
    Manzini, Lim, Black, Tsvetkov, *Black is to Criminal as Caucasian is to Police: Detecting and
    Removing Multiclass Bias in Word Embeddings*, NAACL 2019.
    """
    if not len(targets) or not len(attributes):
        raise DataError(
            f"there are {len(targets)} sets of targets and {len(attributes)} of attributes; "
            "needed at least 1 of each"
        )
    sets = as_unit_sets(
        **{f"targets[{i}]": words for i, words in enumerate(targets)},
        **{f"attributes[{i}]": words for i, words in enumerate(attributes)},
    )
    words, sets = np.concatenate(sets[: len(targets)]), sets[len(targets) :]
    cosines = [words @ attrs.T for attrs in sets]  # each (n_targets, n_attributes)
    by_word = 1.0 - np.mean([found.mean(axis=1) for found in cosines], axis=0)

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        drawn = [
            resampled_weights(found.shape[1], size, rng) @ found.T for found in cosines
        ]  # each (size, n_targets)
        weights = np.concatenate(
            [resampled_weights(len(part), size, rng) * len(part) for part in targets], axis=1
        ) / len(words)
        kept: Double = 1.0 - (np.mean(drawn, axis=0) * weights).sum(axis=1)
        return kept

    p = sign_flip_p(1.0 - by_word, n_permutations=n_permutations, seed=seed)
    draws = draw_figures(of_draw, len(words) * len(sets), n_bootstrap, seed)
    return as_result(float(by_word.mean()), draws, p, by_word)
