"""What every association measure returns."""

from __future__ import annotations

from dataclasses import dataclass

from probe.arrays import Double
from probe.stats.interval import Interval
from probe.stats.permutation import PermutationP


@dataclass(frozen=True, eq=False, kw_only=True)
class AssociationResult(Interval):
    """An association measure with its bootstrap interval and permutation test.

    The interval is over all sets of words, whose clusters are drawn anew. ``n`` counts the
    clusters of target words or pairs, which the test permutes. Test and interval answer different
    questions; whether there is an association, the test decides.
    """

    p: float
    """P-value of the permutation test."""
    p_low: float
    """Lower limit of the 95 % Clopper-Pearson interval of ``p``; ``p`` itself if it is exact."""
    p_high: float
    """Upper limit of the 95 % Clopper-Pearson interval of ``p``."""
    is_exact: bool
    """True if every permutation was counted."""
    n_splits: int
    """Number of permutations that were counted."""
    by_word: Double
    """What each word contributes; see each measure."""


def as_result(
    value: float, limits: tuple[float, float], p: PermutationP, n: int, by_word: Double
) -> AssociationResult:
    """Join a measure, its limits, its test over n clusters and what each word contributes."""
    return AssociationResult(
        value,
        *limits,
        n=n,
        p=p.value,
        p_low=p.low,
        p_high=p.high,
        is_exact=p.is_exact,
        n_splits=p.n_splits,
        by_word=by_word,
    )
