"""A confidence sequence holds the truth however one stops, and stopping early saves pictures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import beta

from probe.stats.sequential import OPEN, Band, SequentialAudit, confidence_sequence

N_SIMULATIONS = 2_000
N_MAX = 500


@pytest.fixture(scope="module")
def ends():
    """Both ends after k hits in n pictures, at [n - 1, k]: the same for every path."""
    n, k = np.meshgrid(np.arange(1, N_MAX + 1), np.arange(N_MAX + 1), indexing="ij")
    low, high = confidence_sequence(np.minimum(k, n), n)
    return low, high


def paths(share, n, *, seed=0, n_paths=N_SIMULATIONS):
    """Hits among the first 1 to n pictures, (n_paths, n)."""
    rng = np.random.default_rng(seed)
    return (rng.random((n_paths, n)) < share).cumsum(axis=1)


@given(n=st.integers(1, 300), data=st.data())
def test_the_ends_are_where_the_martingale_reaches_its_bound(n, data):
    k = data.draw(st.integers(0, n))
    low, high = (float(end) for end in confidence_sequence(np.array(k), np.array(n)))
    assert 0 <= low <= k / n <= high <= 1
    mirrored = confidence_sequence(np.array(n - k), np.array(n))
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-12)
    for p in {low, high} - {0.0, 1.0}:
        mixture = beta(0.5 + k, 0.5 + n - k) / beta(0.5, 0.5)
        martingale = mixture / (p**k * (1 - p) ** (n - k))
        if 0 < mixture < math.inf and math.isfinite(martingale):
            assert martingale == pytest.approx(20.0, rel=1e-6)


def along(ends, hits):
    """The ends along paths of hits, each (n_paths, n)."""
    n = np.arange(hits.shape[1])
    return tuple(end[n, hits] for end in ends)


@pytest.mark.parametrize("share", [0.5, 0.4, 0.1, 0.02])
def test_coverage_holds_under_the_worst_stopping(ends, share):
    low, high = along(ends, paths(share, N_MAX))
    # stop at the first moment at which the interval misses the truth, if there is one
    is_ever_wrong = ((low > share) | (high < share)).any(axis=1)
    assert is_ever_wrong.mean() <= 0.05


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 0.95])
def test_verdicts_are_right_and_come_early(ends, share):
    band = Band(0.3, 0.7)
    low, high = along(ends, paths(share, N_MAX))
    is_fair = (low >= band.low) & (high <= band.high)
    is_settled = is_fair | (low > band.high) | (high < band.low)
    stop = np.where(is_settled.any(axis=1), is_settled.argmax(axis=1), N_MAX - 1)
    rows = np.arange(N_SIMULATIONS)
    assert is_settled.any(axis=1).mean() > 0.99
    covered = (low[rows, stop] <= share) & (share <= high[rows, stop])
    assert covered.mean() >= 0.95
    assert (is_fair[rows, stop] == (band.low <= share <= band.high)).mean() >= 0.95
    if share in (0.05, 0.95):
        # 125 pictures place a share of 0.2 below the band with power 0.8
        assert (stop + 1).mean() < 0.4 * 125


@pytest.mark.slow
@pytest.mark.parametrize("n_batch", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_an_audit_that_is_continued_covers_the_share_at_every_step(n_batch):
    """The intersection of all intervals so far is narrower, and covers as often as the sequence."""
    unseen = SequentialAudit.start().continued(0, 0, Band(0.4, 0.6))
    assert (unseen.verdict, unseen.n, unseen.low, unseen.high) == (OPEN, 0, 0.0, 1.0)
    share, n_wrong = 0.3, 0
    for hits in np.diff(paths(share, 160, n_paths=300), prepend=0, axis=1):
        audit = SequentialAudit.start()
        for new in hits.reshape(-1, n_batch):
            audit = audit.continued(int(new.sum()), n_batch, Band(0.2, 0.4))
        plain = confidence_sequence(np.array(audit.n_hits), np.array(160))
        assert audit.low >= plain[0]
        assert audit.high <= plain[1]
        n_wrong += not audit.low <= share <= audit.high
    assert n_wrong / 300 <= 0.05


@pytest.mark.slow
def test_forty_sequences_at_95_percent_are_wrong_somewhere_and_at_bonferronis_level_rarely():
    hits, n = paths(0.5, 200, n_paths=40 * 50), np.arange(1, 201)
    wrong = {}
    for confidence in (0.95, 1 - 0.05 / 40):
        low, high = confidence_sequence(hits, n, confidence=confidence)
        is_wrong = ((low > 0.5) | (high < 0.5)).any(axis=1)
        wrong[confidence] = is_wrong.reshape(50, 40).any(axis=1).mean()
    assert wrong[0.95] > 0.4
    assert wrong[1 - 0.05 / 40] <= 0.1  # 5 % and two standard errors of 50 families
