"""RNSB: does a classifier of good and bad words find some targets worse than others?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DataError
from probe.latent.association.result import MeasureResult, as_result, draw_figures, square_limits
from probe.latent.association.word_sets import as_word_sets
from probe.stats.bootstrap import check_count
from probe.stats.permutation import random_splits, sampled_p


def rnsb(
    targets: Sequence[Matrix],
    attrs_negative: Matrix,
    attrs_positive: Matrix,
    *,
    n_permutations: int = 200,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> MeasureResult:
    """Measure how unevenly negative sentiment falls on targets (relative negative sentiment bias).

    A logistic regression learns negative from positive words (scikit-learn's liblinear, C = 1).
    With its probabilities ``f(t)`` that a target is negative, and ``P(t) = f(t) / sum f``, return
    the Kullback-Leibler divergence ``sum_t P(t) log(n P(t))`` of P from the uniform distribution.

    Parameters
    ----------
    targets : sequence of ndarray of shape (n_words, n_features)
        Embeddings of each group's words.
    attrs_negative, attrs_positive : ndarray of shape (n_words, n_features)
        Embeddings of the words that the classifier learns from. With fewer of them than features
        the classifier rests on its L2 penalty of strength 1, so it depends on the embeddings'
        scale.
    n_permutations : int, default=200
        Number of relabelled classifiers, each fitted anew: the smallest p-value is its inverse.
    n_bootstrap : int, default=2000
        Number of bootstrap samples: the words of each group drawn anew, the classifier kept.
    seed : int, default=0
        Seed of the relabellings and of the bootstrap.

    Returns
    -------
    MeasureResult
        In nats. 0 means that all targets are equally negative; at most log(n). ``by_word`` is
        ``f(t)`` of each target, in the order given. ``p`` is the share of classifiers that
        learnt from words with shuffled labels whose divergence is at least the observed one: an
        uneven P that is no more than any direction in this space would give is not significant.

    Raises
    ------
    ShapeError, DataError
        If there are fewer than 2 groups, or a set is empty, not finite, or of another width.
    ValueError
        If an option is out of range.

    References
    ----------
    Sweeney and Najafian, *A Transparent Framework for Evaluating Unintended Demographic Bias in
    Word Embeddings*, ACL 2019.
    """
    if len(targets) < 2:
        raise DataError(f"there are {len(targets)} groups of targets; needed at least 2")
    check_count("n_permutations", n_permutations)
    negative, positive, *groups = as_word_sets(
        attrs_negative=attrs_negative,
        attrs_positive=attrs_positive,
        **{f"targets[{i}]": words for i, words in enumerate(targets)},
    )
    words, attributes = np.concatenate(groups), np.concatenate([negative, positive])
    is_negative = (np.arange(len(attributes)) < len(negative)).astype(np.float64)
    by_word = _negative_shares(words, attributes, is_negative)
    value = float(_divergences(by_word[None])[0])

    def of_draw(size: int, rng: np.random.Generator) -> Double:
        starts = np.cumsum([0, *map(len, groups[:-1])])
        rows = [
            start + rng.integers(len(group), size=(size, len(group)))
            for start, group in zip(starts, groups, strict=True)
        ]
        return _divergences(by_word[np.concatenate(rows, axis=1)])

    relabelled = np.concatenate(
        list(
            random_splits(
                len(attributes), len(negative), n_permutations, np.random.default_rng(seed)
            )
        )
    )
    by_chance = _divergences(
        np.stack([_negative_shares(words, attributes, labels) for labels in relabelled])
    )
    p = sampled_p(int((by_chance >= value * (1 - 1e-9)).sum()), n_permutations)
    draws = draw_figures(of_draw, len(words), n_bootstrap, seed)
    return as_result(
        value, draws, p, by_word, ends=square_limits(value, draws, min(map(len, groups)))
    )


def _negative_shares(words: Double, attributes: Double, is_negative: Double) -> Double:
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(solver="liblinear", max_iter=10_000)
    classifier.fit(attributes, is_negative)
    shares: Double = classifier.predict_proba(words)[:, 1]
    return shares


def _divergences(shares: Double) -> Double:
    """Divergence from the uniform distribution of each row of shares, before they sum to 1."""
    from scipy.stats import entropy

    divergences: Double = np.log(shares.shape[1]) - entropy(shares, axis=1)
    return np.maximum(divergences, 0.0)  # what rounding leaves of a uniform row
