"""What a fairness figure would be with endlessly many pictures: the bias of few taken out."""

from __future__ import annotations

import numpy as np

from probe.arrays import Counts, Double
from probe.audit.measures import MEASURES, as_counts, as_target, measure_shares

_STEPS = np.linspace(0.0, 1.0, 17)
_N_DRAWS = 6_000  # simulated subjects a step: the expectation is known to 1 % of the floor


class Contraction:
    """Undo what few pictures add to a fairness figure.

    Every measure is convex in the shares, so chance alone makes it larger: a fair model scores
    the noise floor. Here all shares are drawn towards the target by one factor,
    ``t + lambda (p - t)``, until counts that are drawn anew from them score, on average, the
    figure that was observed; the figure of the contracted shares is the estimate. Below the floor
    it is 0. Exact in the limit for shares that are normal about the target, whatever their
    spread, since then observed and true shares differ by a factor; where some subjects are fair
    and the others extreme, it takes out about half of the bias. It is our choice.

    Parameters
    ----------
    counts : ndarray of int, shape (n_subjects, K)
    target : ndarray of shape (K,) or (n_subjects, K), optional
        As for `probe.audit.fairness.fairness_figures`.
    seed : int, default=0
        Seed of the counts that are drawn anew.

    References
    ----------
    Gourieroux, Monfort, Renault, *Indirect inference*, J. Applied Econometrics 8 (1993), whose
    idea it is to match the figure of simulated data with that of the data.
    """

    def __init__(self, counts: Counts, *, target: Double | None = None, seed: int = 0) -> None:
        counts = as_counts(counts)
        fair, totals = as_target(target, counts.shape), counts.sum(axis=1)
        deviation = counts / totals[:, None] - fair
        rng = np.random.default_rng(seed)
        n_draws = max(1, -(-_N_DRAWS // len(counts)))
        true = {name: np.empty(len(_STEPS)) for name in MEASURES}
        seen = {name: np.empty(len(_STEPS)) for name in MEASURES}
        for step, factor in enumerate(_STEPS):
            shares = fair + factor * deviation
            shares = np.maximum(shares, 0.0) / np.maximum(shares, 0.0).sum(axis=1, keepdims=True)
            drawn = rng.multinomial(totals, shares, size=(n_draws, len(counts)))
            for name, found in measure_shares(drawn / totals[:, None], fair).items():
                seen[name][step] = found.mean()
            for name, found in measure_shares(shares, fair).items():
                true[name][step] = found.mean()
        # what is simulated may dip; expectations rise with the factor, as the measures are convex
        self._seen = {name: np.maximum.accumulate(found) for name, found in seen.items()}
        self._true = true

    def __call__(self, measure: str, figure: float) -> float:
        """Give the figure without chance for one that was observed, or for an end of its interval.

        Rises with ``figure``; 0 up to the noise floor. Beyond what the data themselves score, both
        rise alike.
        """
        seen, true = self._seen[measure], self._true[measure]
        if figure <= seen[0]:
            return 0.0
        if figure >= seen[-1]:
            return float(true[-1] + figure - seen[-1])
        return float(np.interp(figure, seen, true))
