"""RND, ECT and RIPA: closed forms, definitions, WEFE's values, invariants."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.association import ect, ripa, rnd, weat
from probe.stats.correlation import rank_correlation_limits
from probe.stats.resampling import Resampling

E1, E2 = np.eye(2)[:1], np.eye(2)[1:]
QUICK = {"resampling": Resampling(20)}
seeds = st.integers(0, 2**32 - 1)


def word_sets(seed, *sizes, n_features=6):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, n_features)) for n in sizes]


def distances(x, y, attributes):
    return np.mean(
        [
            np.linalg.norm(a - x.mean(axis=0)) - np.linalg.norm(a - y.mean(axis=0))
            for a in attributes
        ]
    )


def coherence(x, y, attributes):
    unit = attributes / np.linalg.norm(attributes, axis=1, keepdims=True)
    return stats.spearmanr(unit @ x.mean(axis=0), unit @ y.mean(axis=0)).statistic


def figures_of_splits(figure, x, y, attributes):
    pool = np.concatenate([x, y])
    splits = combinations(range(len(pool)), len(x))
    return np.array(
        [figure(pool[list(rows)], np.delete(pool, rows, axis=0), attributes) for rows in splits]
    )


def test_an_attribute_that_is_a_group_stands_the_square_root_of_two_nearer_to_it():
    found = rnd(E1, E2, E1)
    assert found.value == pytest.approx(-math.sqrt(2), abs=1e-12)
    assert rnd(E2, E1, E1).value == pytest.approx(math.sqrt(2), abs=1e-12)
    assert rnd(E1, E2, E1 + E2).value == pytest.approx(0.0, abs=1e-12)
    assert (found.p, found.n_splits, found.n) == (1.0, 2, 2)  # both splits are as far from 0


@settings(max_examples=25)
@given(seed=seeds)
def test_relative_norm_distance_is_its_definition_and_its_p_counts_every_split(seed):
    x, y, attributes = word_sets(seed, 4, 3, 5)
    found = rnd(x, y, attributes, **QUICK)
    assert found.value == pytest.approx(distances(x, y, attributes), abs=1e-10)
    assert found.by_word.mean() == pytest.approx(found.value, abs=1e-12)
    every = figures_of_splits(distances, x, y, attributes)
    assert found.is_exact
    assert found.p == pytest.approx((np.abs(every) >= abs(found.value) - 1e-10).mean(), abs=1e-12)


def test_groups_that_rank_alike_are_coherent_and_groups_that_rank_against_each_other_are_not():
    attributes = np.stack([np.cos([0.2, 0.5, 0.9, 1.4]), np.sin([0.2, 0.5, 0.9, 1.4])], axis=1)
    assert ect(E1, 2 * E1, attributes).value == pytest.approx(1.0, abs=1e-12)
    assert ect(E1, E2, attributes).value == pytest.approx(-1.0, abs=1e-12)


@settings(max_examples=25)
@given(seed=seeds)
def test_coherence_is_that_of_scipy_and_its_p_counts_every_split(seed):
    x, y, attributes = word_sets(seed, 3, 3, 6)
    found = ect(x, y, attributes, **QUICK)
    assert found.value == pytest.approx(coherence(x, y, attributes), abs=1e-12)
    every = figures_of_splits(coherence, x, y, attributes)
    assert found.p == pytest.approx((every <= found.value + 1e-9).mean(), abs=1e-12)


def test_a_word_of_a_pair_lies_along_it_by_one_over_the_square_root_of_two():
    found = ripa(E1, E2, np.concatenate([E1, 3 * E2]))
    np.testing.assert_allclose(found.by_word, [math.sqrt(0.5), -3 * math.sqrt(0.5)], atol=1e-12)
    assert found.value == pytest.approx(-math.sqrt(0.5), abs=1e-12)
    assert found.p == 1.0  # one pair proves nothing


@settings(max_examples=25)
@given(seed=seeds)
def test_swapping_the_words_of_every_pair_flips_relational_products(seed):
    x, y, attributes = word_sets(seed, 5, 5, 4)
    plain, swapped = ripa(x, y, attributes, **QUICK), ripa(y, x, attributes, **QUICK)
    np.testing.assert_allclose(swapped.by_word, -plain.by_word, atol=1e-12)
    assert swapped.p == plain.p
    assert plain.n_splits == 2**5


@settings(max_examples=25)
@given(seed=seeds)
def test_turning_the_space_changes_no_measure(seed):
    x, y, a = word_sets(seed, 4, 4, 5)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]

    def every(x, y, a):
        found = [rnd(x, y, a, **QUICK), ripa(x, y, a, **QUICK)]
        return [(f.value, f.low, f.high, f.p) for f in found]

    np.testing.assert_allclose(every(x @ turn, y @ turn, a @ turn), every(x, y, a), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, n_copies=st.integers(2, 5))
def test_copies_of_a_word_add_nothing(seed, n_copies):
    x, y, a, b = word_sets(seed, 4, 4, 5, 6)
    of = np.repeat(np.arange(4), n_copies)
    copied_x, copied_y = (np.repeat(words, n_copies, axis=0) for words in (x, y))
    for once, copied in (
        (rnd(x, y, a, **QUICK), rnd(copied_x, copied_y, a, target_clusters=(of, of), **QUICK)),
        (ect(x, y, a, **QUICK), ect(copied_x, copied_y, a, target_clusters=(of, of), **QUICK)),
        (ripa(x, y, a, **QUICK), ripa(copied_x, copied_y, a, pair_clusters=of, **QUICK)),
        (
            weat(x, y, a, b, ddof=0, **QUICK),
            weat(copied_x, copied_y, a, b, ddof=0, target_clusters=(of, of), **QUICK),
        ),
    ):
        assert (copied.p, copied.n, copied.n_splits) == (once.p, once.n, once.n_splits)
        found, expected = ((r.value, r.low, r.high) for r in (copied, once))
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("measure", ["rnd", "ect", "ripa"])
def test_near_copies_of_three_word_pairs_make_no_false_alarm(measure):
    """Singly, 80 to 100 of 100 tests over 56 copies of 3 unrelated pairs reject at 5 %."""
    of, options = np.repeat(np.arange(3), 56), {"permutations": Resampling(400), **QUICK}
    alone = clustered = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = (
            np.repeat(rng.normal(size=(3, 20)), 56, axis=0) + 0.1 * rng.normal(size=(168, 20))
            for _ in range(2)
        )
        a = rng.normal(size=(28, 20))
        test, key = {
            "rnd": (rnd, {"target_clusters": (of, of)}),
            "ect": (ect, {"target_clusters": (of, of)}),
            "ripa": (ripa, {"pair_clusters": of}),
        }[measure]
        alone += test(x, y, a, **options).p <= 0.05
        clustered += test(x, y, a, **key, **options).p <= 0.05
    assert alone >= 14
    # of 20 splits of 3 and 3 words one, and of 8 choices of signs two are as extreme as any
    assert clustered <= (4 if measure == "ect" else 0)


@pytest.mark.slow
def test_intervals_hold_what_redrawing_every_set_gives():
    x, y, a = word_sets(4, 12, 12, 10)
    rng = np.random.default_rng(0)

    def redrawn(words):
        return words[rng.integers(len(words), size=len(words))]

    n = 1500
    found = rnd(x, y, a, permutations=Resampling(1), resampling=Resampling(10_000))
    naive = [distances(redrawn(x), redrawn(y), redrawn(a)) for _ in range(n)]
    low, high = np.quantile(naive, [0.025, 0.975])
    # the ends of 1,500 draws vary by some hundredths of the interval
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.08 * (high - low))
    found = ect(x, y, a, permutations=Resampling(1), resampling=Resampling(10_000))
    naive = [coherence(redrawn(x), redrawn(y), redrawn(a)) for _ in range(n)]
    z = np.arctanh(np.clip(naive, 6 / 990 - 1, 1 - 6 / 990))
    ends = np.arctanh(found.value) + np.quantile(z - z.mean(), [0.025, 0.975])
    low, high = np.tanh(ends)
    assert found.low < low + 0.08 * (high - low)
    assert found.high > high - 0.08 * (high - low)


def test_a_correlation_is_placed_without_the_bias_of_rows_drawn_twice():
    draws = np.tanh(np.arctanh(0.5) + np.random.default_rng(0).normal(0, 0.1, 20_000))
    low, high = rank_correlation_limits(0.8, draws, 1000)  # the draws lie about 0.5
    expected = np.tanh(np.arctanh(0.8) + 0.196 * np.array([-1, 1]))
    assert [low, high] == pytest.approx(expected, abs=0.005)
    low, high = rank_correlation_limits(1.0, np.append(draws, 1.0), 1000)
    assert 0.9 < low < high == 1.0


def test_what_is_wrong_with_words_is_said():
    x, y, a = word_sets(5, 4, 3, 5)
    with pytest.raises(ShapeError, match="4 words and targets_y 3; needed pairs"):
        ripa(x, y, a)
    with pytest.raises(DegenerateDataError, match="differences of the pairs: 4 of 4"):
        ripa(x, x, a)
    with pytest.raises(DataError, match="at least 3 attributes, got 2"):
        ect(x, y, a[:2])
    with pytest.raises(DegenerateDataError, match="as near to the mean"):
        ect(x, y, np.repeat(a[:1], 4, axis=0))
    with pytest.raises(DegenerateDataError, match="the mean of X or of Y is zero"):
        ect(np.concatenate([x, -x]), y, a)


WEFE = {  # WEFE 1.0.1 on its own words: X, Y, A, B -> RND, ECT, RIPA of X, Y, A
    ("flowers", "insects", "pleasant_5", "unpleasant_5a"): (0.00442875, 0.65153846, 0.08881202),
    ("male_names", "female_names", "career", "family"): (-0.14251214, 0.54761905, 0.07133748),
    ("math", "arts", "male_terms", "female_terms"): (0.20936590, -0.04761905, -0.08319111),
}


@pytest.mark.real
@pytest.mark.parametrize("names", WEFE)
def test_every_measure_has_the_value_that_wefe_gives_on_its_own_data(wefe_words, names):
    x, y, a, _ = (wefe_words[name].astype(np.float32) for name in names)
    found = [of(x, y, a, permutations=Resampling(1)).value for of in (rnd, ect)]
    # WEFE works in single precision
    assert [*found, ripa(x, y, a).value] == pytest.approx(WEFE[names], abs=1e-6)
