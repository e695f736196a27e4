"""WEAT and SEAT: do two sets of targets lean differently towards two sets of attributes?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probe.arrays import Double, Matrix
from probe.errors import DegenerateDataError, ShapeError
from probe.latent.association.word_sets import as_unit_sets
from probe.stats.permutation import MAX_SUMS, Alternative, split_sums_p
from probe.stats.resampling import (
    BOOTSTRAP,
    PERMUTATIONS,
    Resampling,
    chunks,
    percentile_limits,
    resampled_weights,
)


@dataclass(frozen=True)
class WeatResult:
    """How differently X and Y lean towards A and B; 0 means alike, positive X to A and Y to B."""

    value: float
    """WEAT-ES, the effect size, in standard deviations; from -2 to 2 if X and Y are equally many
    and ``ddof`` is 0."""
    low: float
    """Lower end of the 95 % bootstrap interval of the effect size."""
    high: float
    """Upper end of the 95 % bootstrap interval of the effect size."""
    statistic: float
    """WEAT, the test statistic ``sum_x s(x) - sum_y s(y)``, in units of cosine."""
    p: float
    """P-value of the permutation test over words."""
    p_low: float
    """Lower end of what is known of ``p``: its 95 % Clopper-Pearson interval, or ``p`` itself."""
    p_high: float
    """Upper end of what is known of ``p``."""
    is_exact: bool
    """True if every split of the words was counted."""
    n_splits: int
    """Number of splits that were looked at."""
    n: int
    """Number of target words, X and Y together."""
    ddof: int
    """What is taken from the number of scores to get the divisor of their variance."""


def weat(
    targets_x: Matrix,
    targets_y: Matrix,
    attrs_a: Matrix,
    attrs_b: Matrix,
    *,
    ddof: int = 1,
    alternative: Alternative = "greater",
    permutations: Resampling = PERMUTATIONS,
    max_sums: int = MAX_SUMS,
    resampling: Resampling = BOOTSTRAP,
) -> WeatResult:
    """Test whether two sets of target words lean differently towards two sets of attributes.

    With ``s(w) = mean_a cos(w, a) - mean_b cos(w, b)``, the statistic (WEAT) is
    ``sum_x s(x) - sum_y s(y)`` and the effect size (WEAT-ES) is
    ``(mean_x s(x) - mean_y s(y)) / std_w s(w)`` over all targets. The p-value is the share of the
    splits of the targets into two sets of these sizes whose difference of means is at least the
    observed one, which counts itself. The divisor is the same for every split, so every split is
    one row of a 0/1 matrix times the vector of ``s``; see
    `probe.stats.permutation.split_sums_p` for how
    all 9.1e9 splits of 18 and 18 words are counted.

    Parameters
    ----------
    targets_x, targets_y : ndarray of shape (n_x, n_features), (n_y, n_features)
        Embeddings of the target words. Rows need not be normalised.
    attrs_a, attrs_b : ndarray of shape (n_a, n_features), (n_b, n_features)
        Embeddings of the attribute words.
    ddof : int, default=1
        Of the standard deviation: 1 as Caliskan et al. print it, 0 as WEFE has it.
    alternative : {"greater", "less", "two-sided"}, default="greater"
        What counts as extreme: X leans to A more than Y does, less, or either.
    permutations : Resampling
        Number of permutations, if not all are counted, and their seed.
    max_sums : int, default=2**18
        How much may be held to count all splits (two sets of 18 words); 0 always draws.
    resampling : Resampling

    Returns
    -------
    WeatResult
        0 means no association; swapping X and Y, or A and B, flips the sign. What the interval
        covers is the effect size that sets of these sizes have, drawn from the same concepts.

    Raises
    ------
    ShapeError, DataError
        If a set is empty, not finite, or of another width.
    DegenerateDataError
        If a row is zero, or every target has the same association, so that the scale is zero.
    ValueError
        If an option is out of range.

    References
    ----------
    Caliskan, Bryson, Narayanan, *Semantics derived automatically from language corpora contain
    human-like biases*, Science 356 (2017). Their p-value counts splits that exceed the observed
    one; here equal ones count too, so that p is never 0.
    """
    sets = as_unit_sets(targets_x=targets_x, targets_y=targets_y, attrs_a=attrs_a, attrs_b=attrs_b)
    return run_weat(
        *(words[:, None, :] for words in sets),
        ddof=ddof,
        alternative=alternative,
        permutations=permutations,
        max_sums=max_sums,
        resampling=resampling,
    )


def association_scores(words: Matrix, attrs_a: Matrix, attrs_b: Matrix) -> Double:
    """Return ``s(w) = mean_a cos(w, a) - mean_b cos(w, b)`` of each word, shape (n_words,).

    From -2 to 2; 0 means that the word is as near to A as to B, positive that it leans to A.
    """
    words, attrs_a, attrs_b = as_unit_sets(words=words, attrs_a=attrs_a, attrs_b=attrs_b)
    scores: Double = words @ (attrs_a.mean(axis=0) - attrs_b.mean(axis=0))
    return scores


def weat_effect_size(
    targets_x: Matrix, targets_y: Matrix, attrs_a: Matrix, attrs_b: Matrix, *, ddof: int = 1
) -> float:
    """Return the effect size of `weat` alone, without test and interval."""
    x, y, a, b = as_unit_sets(
        targets_x=targets_x, targets_y=targets_y, attrs_a=attrs_a, attrs_b=attrs_b
    )
    axis = a.mean(axis=0) - b.mean(axis=0)
    return _effect_size(x @ axis, y @ axis, ddof)


def _effect_size(scores_x: Double, scores_y: Double, ddof: int) -> float:
    scores = np.concatenate([scores_x, scores_y])
    if not 0 <= ddof < scores.size:
        raise ValueError(f"ddof is {ddof}; needed 0 to {scores.size - 1} for {scores.size} scores")
    spread = float(scores.std(ddof=ddof))
    if spread <= 1e-12:  # scores are differences of cosines: this is their rounding
        raise DegenerateDataError(
            f"all {scores.size} targets have the same association, {scores.flat[0]:.4g}, so the "
            "effect size has no scale; needed targets that differ"
        )
    return float(scores_x.mean() - scores_y.mean()) / spread


def run_weat(
    x: Double,
    y: Double,
    a: Double,
    b: Double,
    *,
    ddof: int,
    alternative: Alternative,
    permutations: Resampling,
    max_sums: int,
    resampling: Resampling,
) -> WeatResult:
    """Test four sets of unit rows, (n_words, n_sentences, n_features)."""
    if x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"targets_x has {x.shape[1]} sentences a word and targets_y {y.shape[1]}; needed the "
            "same sentences for both"
        )
    n_x, n_words = len(x), len(x) + len(y)
    targets = np.concatenate([x, y])
    # An attribute word is the mean of its sentences: every one has the same number of them.
    to_a, to_b = (targets @ attrs.mean(axis=1).T for attrs in (a, b))
    scores = to_a.mean(axis=2) - to_b.mean(axis=2)  # (n_words, n_sentences)
    by_word = scores.mean(axis=1)
    value = _effect_size(scores[:n_x], scores[n_x:], ddof)
    p = split_sums_p(
        by_word, n_x, alternative=alternative, permutations=permutations, max_sums=max_sums
    )
    low, high = percentile_limits(_draw_effects(to_a, to_b, n_x, ddof, resampling))
    return WeatResult(
        value=value,
        low=low,
        high=high,
        statistic=float(by_word[:n_x].sum() - by_word[n_x:].sum()),
        p=p.value,
        p_low=p.low,
        p_high=p.high,
        is_exact=p.is_exact,
        n_splits=p.n_splits,
        n=n_words,
        ddof=ddof,
    )


def _draw_effects(
    to_a: Double, to_b: Double, n_x: int, ddof: int, resampling: Resampling
) -> Double:
    """Redraw the words of each set; a draw is a row of weights, so all are products of matrices."""
    rng = resampling.rng()
    n_words, n_sentences, n_a = to_a.shape
    n_b, n_y, n_scores = to_b.shape[2], n_words - n_x, n_words * n_sentences
    drawn = []
    for size in chunks(resampling.n, n_scores + n_a + n_b):
        scores = resampled_weights(n_a, size, rng) @ to_a.reshape(n_scores, -1).T
        scores -= resampled_weights(n_b, size, rng) @ to_b.reshape(n_scores, -1).T
        scores = scores.reshape(size, n_words, n_sentences)
        means, squares = scores.mean(axis=2), (scores**2).mean(axis=2)  # (size, n_words)
        of_x = resampled_weights(n_x, size, rng)
        of_y = resampled_weights(n_y, size, rng)
        mean_x = (of_x * means[:, :n_x]).sum(axis=1)
        mean_y = (of_y * means[:, n_x:]).sum(axis=1)
        mean = (n_x * mean_x + n_y * mean_y) / n_words
        square = n_x * (of_x * squares[:, :n_x]).sum(axis=1)
        square += n_y * (of_y * squares[:, n_x:]).sum(axis=1)
        variance = np.maximum(square / n_words - mean**2, 0.0) * n_scores / (n_scores - ddof)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append(np.where(variance > 1e-24, (mean_x - mean_y) / np.sqrt(variance), np.nan))
    return np.concatenate(drawn)
