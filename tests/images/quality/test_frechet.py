"""Fréchet distance: closed forms, scipy's root, chunks, and what the interval holds."""

import importlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.images.quality.frechet import Moments, fid, frechet_distance


def drawn(seed, n=100, d=5, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def test_of_known_gaussians_it_is_the_closed_form():
    """Diagonal covariances: the sum of (mean difference)^2 and (deviation difference)^2."""
    deviations_a, deviations_b = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.0])
    means_a, means_b = np.zeros(3), np.array([1.0, -2.0, 0.0])
    a, b = (
        Moments(11, mean, 10 * np.diag(deviations**2))
        for mean, deviations in ((means_a, deviations_a), (means_b, deviations_b))
    )
    expected = 5.0 + ((deviations_a - deviations_b) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(20, 60))
def test_it_is_heusels_formula_with_scipys_root(seed, n):
    a, b = drawn(seed, n=n), drawn(seed + 1, n=50, shift=0.3, scale=1.5)
    root = np.real(sqrtm(np.cov(a.T) @ np.cov(b.T)))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected += np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(expected, abs=1e-8)


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 99))
def test_moments_of_chunks_are_those_of_all_at_once(seed, cut):
    rows = drawn(seed, shift=1e3)
    joined, whole = Moments.of(rows[:cut]) + Moments.of(rows[cut:]), Moments.of(rows)
    assert joined.n == whole.n
    np.testing.assert_allclose(joined.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(joined.scatter, whole.scatter, rtol=1e-8, atol=1e-7)


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 40), min_size=3, max_size=12))
def test_chunks_of_any_sizes_give_the_same_distance_and_interval(sizes):
    n = sum(sizes)
    a, b = drawn(1, n=n + 10), drawn(2, n=n + 10, shift=0.5)
    cuts = np.cumsum(sizes)
    chunked, whole = fid(iter(np.split(a, cuts)), iter(np.split(b, cuts))), fid(a, b)
    for name in ("value", "low", "high"):
        assert getattr(chunked, name) == pytest.approx(getattr(whole, name), rel=1e-8, abs=1e-9)


def test_a_hundred_thousand_pictures_need_no_more_memory_than_a_chunk():
    chunk = drawn(0, n=2000, d=32).astype(np.float32)
    tracemalloc.start()
    found = fid((chunk + i % 2 for i in range(50)), (chunk for _ in range(50)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.value > 0
    assert peak < 10e6  # the features of one set alone are 25 MB


def test_a_set_is_at_no_distance_from_itself():
    rows = drawn(0)
    assert fid(rows, rows).value == pytest.approx(0.0, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_it_does_not_matter_which_set_comes_first_or_how_space_is_turned(seed):
    a, b = drawn(seed), drawn(seed + 1, shift=0.5)
    turn = np.linalg.qr(drawn(seed + 2, n=5))[0]
    there = frechet_distance(Moments.of(a), Moments.of(b))
    assert frechet_distance(Moments.of(b), Moments.of(a)) == pytest.approx(there)
    assert frechet_distance(Moments.of(a @ turn), Moments.of(b @ turn)) == pytest.approx(there)


def test_the_interval_holds_the_mean_distance_at_this_number_as_often_as_it_says():
    found = [fid(drawn(2 * i), drawn(2 * i + 1, shift=0.5)) for i in range(150)]
    expected = np.mean([of.value for of in found])
    n_hits = sum(of.low <= expected <= of.high for of in found)
    assert n_hits / len(found) >= 0.90  # 0.95, less three standard errors


def test_it_equals_torchmetrics():
    image = importlib.import_module("torchmetrics.image.fid")
    import torch

    a, b = drawn(1), drawn(2, shift=1.0)
    moments = [torch.from_numpy(of) for of in (a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))]
    wanted = float(image._compute_fid(*moments))
    assert fid(a, b).value == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "error", "said"),
    [
        (drawn(1)[0], drawn(1), ShapeError, "n_pictures, n_features"),
        (drawn(1), drawn(1, d=4), ShapeError, "5 and 4 wide"),
        (drawn(1, n=3), drawn(1), DegenerateDataError, "3 pictures"),
        (np.full((5, 5), np.nan), drawn(1), DataError, "not finite"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(a, b, error, said):
    with pytest.raises(error, match=said):
        fid(a, b)
