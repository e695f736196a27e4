"""Fairness measures and their floors: hand-worked figures, enumeration, invariants."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from probe.audit.measures import (
    MEASURES,
    as_counts,
    as_target,
    count_labels,
    measure_shares,
    noise_floor,
)
from probe.errors import DataError, ShapeError

tables = st.integers(2, 6).flatmap(
    lambda k: arrays(np.int64, (3, k), elements=st.integers(0, 50)).map(
        lambda c: c + np.eye(k)[[0, 1, 0]]
    )
)


def measured(shares, target=None):
    shares = np.array([shares], dtype=float)
    fair = as_target(None if target is None else np.array(target), shares.shape)
    return {name: float(found[0]) for name, found in measure_shares(shares, fair).items()}


HALF, ROOT = math.log(2), math.sqrt(2)


@pytest.mark.parametrize(
    ("shares", "target", "mad", "fd", "kl"),
    [
        ([0.75, 0.25], None, 0.25, 0.25 * ROOT, 0.75 * math.log(1.5) - 0.25 * HALF),
        ([0.5, 0.25, 0.25, 0.0], None, 0.125, 0.25 * ROOT, 0.5 * HALF),
        ([0.5, 0.5], [0.8, 0.2], 0.3, 0.3 * ROOT, -0.5 * math.log(0.64)),
        ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], 0.0, 0.0, 0.0),
        ([1.0, 0.0], None, 0.5, 0.5 * ROOT, HALF),
        ([1.0, 0.0, 0.0, 0.0, 0.0], None, 8 / 25, math.sqrt(4 / 5), math.log(5)),
    ],
)
def test_measures_worked_by_hand(shares, target, mad, fd, kl):
    assert measured(shares, target) == pytest.approx({"mad": mad, "fd": fd, "kl": kl})


@given(counts=tables, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_values_does_not_matter(counts, seed):
    shares = counts / counts.sum(axis=1, keepdims=True)
    target = as_target(None, shares.shape)
    order = np.random.default_rng(seed).permutation(shares.shape[1])
    plain, turned = measure_shares(shares, target), measure_shares(shares[:, order], target)
    for name in MEASURES:
        np.testing.assert_allclose(turned[name], plain[name], atol=1e-14)


@given(counts=tables)
def test_measures_agree_with_independent_formulas(counts):
    shares = counts / counts.sum(axis=1, keepdims=True)
    k = shares.shape[1]
    found = measure_shares(shares, as_target(None, shares.shape))
    reference = stats.entropy(shares, np.full_like(shares, 1 / k), axis=1)
    np.testing.assert_allclose(found["kl"], reference, atol=1e-14)
    np.testing.assert_allclose(found["fd"], np.linalg.norm(shares - 1 / k, axis=1), atol=1e-14)


@pytest.mark.parametrize("n_images", [2, 10, 20, 200])
def test_the_floor_of_two_values_is_de_moivres(n_images):
    # the mean absolute deviation of n fair coins is C(n, n/2) n / 2^(n+1)
    expected = math.comb(n_images, n_images // 2) / 2 ** (n_images + 1)
    floor = noise_floor(n_images)
    assert floor["mad"] == pytest.approx(expected, rel=1e-12)
    assert floor["fd"] == pytest.approx(math.sqrt(2) * expected, rel=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.001])
def test_the_floor_of_a_thousand_million_images_is_the_normal_one(share):
    spread = math.sqrt(share * (1 - share) / 1e9)
    found = noise_floor(10**9, target=np.array([share, 1 - share]))
    assert found["mad"] == pytest.approx(spread * math.sqrt(2 / math.pi), rel=1e-4)


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("target", [[0.5, 0.5], [0.3, 0.7], [1 / 3] * 3, [0.2, 0.3, 0.5]])
def test_the_floor_is_the_mean_over_all_outcomes(n, target):
    k = len(target)
    outcomes = np.array([c for c in product(range(n + 1), repeat=k) if sum(c) == n])
    weights = stats.multinomial.pmf(outcomes, n, target)
    exact = measure_shares(outcomes / n, np.broadcast_to(target, outcomes.shape))
    floor = noise_floor(n, k, target=np.array(target))
    for name in MEASURES:
        # fd of three values comes from 20,000 draws, whose mean varies by up to 0.4 %
        rel = 0.02 if k > 2 and name == "fd" else 1e-12
        assert floor[name] == pytest.approx(float(weights @ exact[name]), rel=rel), name


@pytest.mark.parametrize("target", [[0.5, 0.6], [1.0, 0.0], [-0.5, 1.5], [np.nan, 0.5]])
def test_a_target_that_holds_no_shares_is_refused(target):
    with pytest.raises(ValueError, match="positive numbers that sum to 1"):
        as_target(np.array(target), (4, 2))


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        (np.ones((0, 2)), ShapeError, r"needed \(n_subjects, n_values\)"),
        (np.ones((3, 1)), ShapeError, r"needed \(n_subjects, n_values\)"),
        (np.ones(4), ShapeError, r"needed \(n_subjects, n_values\)"),
        ([[5, -3]], DataError, "counts hold -3"),
        ([[0.5, 1.5]], DataError, "whole number"),
        ([[np.nan, 1.0]], DataError, "whole number"),
        ([[1, 2], [0, 0], [0, 0]], DataError, r"2 of 3 subjects have no image \(.* row 1\)"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(counts, error, message):
    with pytest.raises(error, match=message):
        as_counts(np.array(counts))


def test_labels_are_counted_by_subject():
    subjects = ["nurse", "cook", "nurse", "nurse", "cook"]
    labels = ["woman", "man", "man", "woman", "man"]
    names, counts = count_labels(subjects, labels, values=["woman", "man", "other"])
    assert names == ["nurse", "cook"]
    assert counts.tolist() == [[2, 1, 0], [0, 2, 0]]
    with pytest.raises(DataError, match=r"labels hold \['cat'\]; needed only \['woman', 'man'\]"):
        count_labels(["nurse"], ["cat"], values=["woman", "man"])
