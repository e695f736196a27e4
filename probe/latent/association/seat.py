"""SEAT: WEAT of words that stand in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from probe.arrays import Matrix
from probe.latent.association.weat import WeatResult, run_weat
from probe.latent.association.word_sets import as_sentence_sets
from probe.stats.permutation import MAX_SUMS, Alternative
from probe.stats.resampling import BOOTSTRAP, PERMUTATIONS, Resampling


def seat(
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
    """Test the association of words that stand in sentences.

    `weat` on all sentences: the effect size is that of May et al. Its permutations and bootstrap
    draws move whole words with all their sentences: sentences of one word are near copies of one
    another, and a test that takes them for independent finds far too small a p-value.

    Parameters
    ----------
    targets_x, targets_y, attrs_a, attrs_b : ndarray of shape (n_words, n_sentences, n_features)
        Embeddings of each word in the same sentences; see `in_sentences`. Both target sets need
        the same number of sentences.
    ddof, alternative, permutations, max_sums, resampling
        As in `weat`.

    Returns
    -------
    WeatResult
        ``n`` counts words, ``statistic`` sums over words the mean over their sentences.

    Raises
    ------
    ShapeError, DataError, DegenerateDataError, ValueError
        As in `weat`.

    References
    ----------
    May, Wang, Bordia, Bowman, Rudinger, *On Measuring Social Biases in Sentence Encoders*,
    NAACL 2019.
    """
    return run_weat(
        *as_sentence_sets(
            targets_x=targets_x, targets_y=targets_y, attrs_a=attrs_a, attrs_b=attrs_b
        ),
        ddof=ddof,
        alternative=alternative,
        permutations=permutations,
        max_sums=max_sums,
        resampling=resampling,
    )


def in_sentences(words: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Put each word into each template's ``{word}``: all sentences of the first word come first.

    Their embeddings, reshaped to (n_words, n_templates, n_features), are a set for `seat`.

    >>> in_sentences(["nurse", "auditor"], ["This is a {word}.", "The {word} is here."])
    ['This is a nurse.', 'The nurse is here.', 'This is an auditor.', 'The auditor is here.']
    """
    from probe.text.prompts import check_no_string
    from probe.text.templates import fill

    check_no_string("words", words)
    check_no_string("templates", templates)
    return [fill(template, word=word) for word in words for template in templates]
