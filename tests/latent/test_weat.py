"""WEAT and SEAT: closed forms, invariants, published figures, WEFE's values, error rates."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.association import weat
from probe.stats.resampling import Resampling

E1, E2 = np.eye(2)[:1], np.eye(2)[1:]
QUICK = {"resampling": Resampling(20)}
TESTS = {  # sets of words; effect size with ddof=1 and ddof=0, three decimals
    "WEAT1": ("flowers", "insects", "pleasant_5", "unpleasant_5a", 1.539, 1.555),
    "WEAT6": ("male_names", "female_names", "career", "family", 1.890, 1.952),
    "WEAT7": ("math", "arts", "male_terms", "female_terms", 0.966, 0.998),
    "WEAT8": ("science", "arts_2", "male_terms_2", "female_terms_2", 1.244, 1.285),
}


def word_sets(seed, *, sizes=(5, 6, 4, 3), n_features=7, lean=0.0):
    rng = np.random.default_rng(seed)
    x, y, a, b = (rng.normal(size=(n, n_features)) for n in sizes)
    for words, shift in ((x, lean), (a, lean), (y, -lean), (b, -lean)):
        words[:, 0] += shift
    return x, y, a, b


def test_two_words_on_two_axes_have_an_effect_of_the_square_root_of_two():
    found = weat(E1, E2, E1, E2)
    assert found.value == pytest.approx(math.sqrt(2), abs=1e-12)
    np.testing.assert_allclose(found.by_word, [1.0, -1.0], atol=1e-12)
    assert weat(E1, E2, E1, E2, ddof=0).value == pytest.approx(2.0, abs=1e-12)
    # the observed split is one of two
    assert (found.p, found.is_exact, found.n_splits, found.n) == (0.5, True, 2, 2)


@given(seed=st.integers(0, 2**32 - 1), ddof=st.sampled_from([0, 1]))
def test_the_effect_size_is_its_definition_word_by_word(seed, ddof):
    x, y, a, b = word_sets(seed)

    def cosine(u, v):
        return u @ v / np.linalg.norm(u) / np.linalg.norm(v)

    def s(w):
        return np.mean([cosine(w, u) for u in a]) - np.mean([cosine(w, u) for u in b])

    of_x, of_y = [s(w) for w in x], [s(w) for w in y]
    expected = (np.mean(of_x) - np.mean(of_y)) / np.std(of_x + of_y, ddof=ddof)
    found = weat(x, y, a, b, ddof=ddof, **QUICK)
    assert found.value == pytest.approx(expected, abs=1e-10)
    np.testing.assert_allclose(found.by_word, of_x + of_y, atol=1e-10)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_turning_the_space_and_stretching_words_changes_nothing(seed):
    sets = word_sets(seed)
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(7, 7)))[0]
    turned = [rng.uniform(0.1, 10, size=(len(w), 1)) * w @ turn for w in sets]
    plain, found = weat(*sets, **QUICK), weat(*turned, **QUICK)
    assert (found.value, found.low, found.high) == pytest.approx(
        (plain.value, plain.low, plain.high), abs=1e-9
    )
    assert found.p == plain.p


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_swapping_targets_or_attributes_flips_the_sign(seed):
    x, y, a, b = word_sets(seed)
    plain = weat(x, y, a, b, **QUICK)
    for swapped in (weat(y, x, a, b, **QUICK), weat(x, y, b, a, **QUICK)):
        assert swapped.value == pytest.approx(-plain.value, abs=1e-12)
    assert weat(y, x, b, a, **QUICK).p == plain.p


def test_sets_that_lean_are_found_and_sets_that_do_not_are_not():
    leaning = weat(*word_sets(0, sizes=(8, 8, 8, 8), n_features=20, lean=3.0))
    assert leaning.low > 0.5
    assert leaning.p < 0.001
    straight = weat(*word_sets(1, sizes=(8, 8, 8, 8), n_features=20))
    assert straight.low < 0 < straight.high
    assert straight.p > 100 * leaning.p


def test_the_interval_holds_the_effect_as_often_as_it_says():
    # cosines to e1 and e2 in a plane: the score of a word at angle t is cos t - sin t
    rng = np.random.default_rng(0)

    def angles(center, n):
        return math.pi / 4 + center + 0.3 * rng.normal(size=n)

    def words(t):
        return np.stack([np.cos(t), np.sin(t)], axis=1)

    many = [words(angles(center, 200_000)) for center in (-0.15, 0.15)]
    scores = [words @ (E1 - E2)[0] for words in many]
    truth = np.subtract(*map(np.mean, scores)) / np.std(np.concatenate(scores))
    assert truth == pytest.approx(0.89, abs=0.02)
    hits = 0
    for seed in range(200):
        x, y = (words(angles(center, 25)) for center in (-0.15, 0.15))
        found = weat(
            x, y, E1, E2, permutations=Resampling(1, seed), resampling=Resampling(400, seed)
        )
        hits += found.low <= truth <= found.high
    assert hits / 200 >= 0.95 - 3 * 0.0155  # three standard errors of 200 trials below 95 %


@pytest.mark.slow
def test_the_interval_is_that_of_redrawing_every_set_word_by_word():
    sets, rng = word_sets(7, sizes=(12, 10, 9, 8), lean=0.5), np.random.default_rng(0)
    draws = [
        weat(
            *(words[rng.integers(len(words), size=len(words))] for words in sets),
            permutations=Resampling(1),
            resampling=Resampling(1),
            max_sums=0,
        ).value
        for _ in range(4000)
    ]
    found = weat(*sets, resampling=Resampling(20_000))
    # two sets of draws: an end of 4,000 varies by about 0.02
    limits = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose([found.low, found.high], limits, atol=0.06)


def test_sentences_that_are_near_copies_make_no_false_alarms():
    alarms, words = {"words": 0, "sentences": 0}, np.repeat(np.arange(8), 6)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        sets = [
            np.repeat(rng.normal(size=(8, 10)), 6, axis=0) + 0.1 * rng.normal(size=(48, 10))
            for _ in range(4)
        ]
        options = {"permutations": Resampling(200), **QUICK}
        alarms["words"] += weat(*sets, target_clusters=(words, words), **options).p <= 0.05
        alarms["sentences"] += weat(*sets, **options).p <= 0.05
    assert alarms["words"] / 150 <= 0.05 + 3 * 0.0178  # three standard errors of 150 trials
    assert alarms["sentences"] / 150 > 0.15  # what is wrong with moving sentences singly


def test_what_is_wrong_with_a_set_is_said_with_its_name():
    x, y, a, b = word_sets(4)
    with pytest.raises(ShapeError, match="attrs_b: embeddings have 2 features but 7"):
        weat(x, y, a, E1)
    with pytest.raises(DataError, match="targets_y is empty"):
        weat(x, y[:0], a, b)
    with pytest.raises(DegenerateDataError, match="targets_x: 5 of 5 embeddings are zero"):
        weat(0 * x, y, a, b)
    with pytest.raises(ShapeError, match="clusters of targets_y have shape"):
        weat(x, y, a, b, target_clusters=(np.arange(5), np.arange(5)))


def test_targets_without_any_difference_are_degenerate():
    x, y, a, b = word_sets(5)
    with pytest.raises(DegenerateDataError, match="all 11 targets have the same association"):
        weat(np.ones_like(x), np.ones_like(y), a, b)
    with pytest.raises(DegenerateDataError, match="same association, 0"):
        weat(x, y, a, a)
    line = [np.ones((3, 1))] * 4
    with pytest.raises(DegenerateDataError, match="all 6 targets"):
        weat(*line)


@pytest.mark.real
@pytest.mark.parametrize("name", TESTS)
def test_the_published_effect_sizes_come_out(wefe_words, name):
    *names, sample, population = TESTS[name]
    sets = [wefe_words[key] for key in names]
    found = weat(*sets)
    assert found.value == pytest.approx(sample, abs=5e-4)
    assert weat(*sets, ddof=0).value == pytest.approx(population, abs=5e-4)
    assert found.p_high < 0.05
    assert found.is_exact == (name != "WEAT1")
