"""Fréchet distance: closed forms, scipy's root, chunks, and what the interval holds."""

import importlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.images.quality.frechet import Moments, fid, frechet_distance, frechet_drift


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


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 40), min_size=3, max_size=12))
def test_chunks_of_any_sizes_give_the_same_fid(sizes):
    n = sum(sizes)
    a, b = drawn(1, n=n + 10), drawn(2, n=n + 10, shift=0.5)
    cuts = np.cumsum(sizes)
    chunked = fid(iter(np.split(a, cuts)), iter(np.split(b, cuts)))
    assert chunked == pytest.approx(fid([a], [b]), rel=1e-8, abs=1e-9)


def test_a_hundred_thousand_pictures_need_no_more_memory_than_a_chunk():
    chunk = drawn(0, n=2000, d=32).astype(np.float32)
    tracemalloc.start()
    found = fid((chunk + i % 2 for i in range(50)), (chunk for _ in range(50)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found > 0
    assert peak < 10e6  # the features of one set alone are 25 MB


@given(seed=st.integers(0, 2**32 - 1))
def test_it_does_not_matter_which_set_comes_first_or_how_space_is_turned(seed):
    a, b = drawn(seed), drawn(seed + 1, shift=0.5)
    turn = np.linalg.qr(drawn(seed + 2, n=5))[0]
    there = frechet_distance(Moments.of(a), Moments.of(b))
    assert frechet_distance(Moments.of(b), Moments.of(a)) == pytest.approx(there)
    assert frechet_distance(Moments.of(a @ turn), Moments.of(b @ turn)) == pytest.approx(there)


def test_drift_of_the_same_pictures_is_zero_and_its_value_is_the_distance():
    a, b = drawn(1), drawn(2, shift=0.5)
    subjects = np.arange(100) // 10
    assert frechet_drift(a, a, subjects).high == pytest.approx(0.0, abs=1e-8)
    assert frechet_drift(a, b, subjects).value == pytest.approx(fid([a], [b]))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 10])
def test_the_interval_covers_the_mean_drift_of_other_subjects(size):
    """Images of a subject are near copies; over rows the interval covered 39 % (size 10)."""
    found = []
    for trial in range(150):
        rng = np.random.default_rng(trial)
        base = np.repeat(rng.normal(size=(100 // size, 3)), size, axis=0)
        moved = np.repeat(rng.normal(0.5, 0.5, size=(100 // size, 3)), size, axis=0)
        noise = rng.normal(0, 0.1, size=(2, 100, 3))
        subjects = np.arange(100) // size
        found.append(frechet_drift(base + noise[0], base + moved + noise[1], subjects))
    expected = np.mean([of.value for of in found])
    assert np.mean([of.low <= expected <= of.high for of in found]) >= 0.90


def test_it_equals_torchmetrics():
    image = importlib.import_module("torchmetrics.image.fid")
    import torch

    a, b = drawn(1), drawn(2, shift=1.0)
    moments = [torch.from_numpy(of) for of in (a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))]
    wanted = float(image._compute_fid(*moments))
    assert fid([a], [b]) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "error", "said"),
    [
        (drawn(1)[0], drawn(1), ShapeError, "n_images, n_features"),
        (drawn(1), drawn(1, d=4), ShapeError, "5 and 4 wide"),
        (drawn(1, n=1), drawn(1), DegenerateDataError, "a single image"),
        (np.full((5, 5), np.nan), drawn(1), DataError, "not finite"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(a, b, error, said):
    with pytest.raises(error, match=said):
        fid([a], [b])


def test_too_few_subjects_and_pictures_that_are_no_pairs_are_refused():
    with pytest.raises(DegenerateDataError, match="of 3 subjects"):
        frechet_drift(drawn(1, n=6), drawn(2, n=6), list("aabbcc"))
    with pytest.raises(ShapeError, match="one subject for each pair"):
        frechet_drift(drawn(1), drawn(2, n=99), range(100))
