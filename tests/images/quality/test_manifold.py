"""Precision, recall, density and coverage against the definitions, pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probe.errors import DegenerateDataError, ShapeError
from probe.images.quality import manifold as module
from probe.images.quality.manifold import manifold_figures


def drawn(seed, n=40, d=4, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0, (n, d))


def by_hand(reference, new, k):
    """Naeem et al., section 3: ball by ball, as their program counts them."""

    def distances(x, y):
        return np.sqrt(((x[:, None] - y) ** 2).sum(axis=2))

    radii = np.sort(distances(reference, reference), axis=1)[:, k]
    radii_new = np.sort(distances(new, new), axis=1)[:, k]
    across = distances(reference, new)
    return {
        "precision": (across <= radii[:, None]).any(axis=0).mean(),
        "recall": (across <= radii_new).any(axis=1).mean(),
        "density": (across <= radii[:, None]).sum(axis=0).mean() / k,
        "coverage": (across.min(axis=1) <= radii).mean(),
    }


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 5))
def test_they_are_the_definitions(seed, k):
    a, b = drawn(seed), drawn(seed + 1, n=30, shift=0.5)
    found = manifold_figures(a, b, k_precision=k, k_density=k)
    for name, expected in by_hand(a, b, k).items():
        assert getattr(found, name).value == pytest.approx(expected)


def test_pictures_elsewhere_have_none_of_it():
    found = manifold_figures(drawn(1), drawn(2, shift=100.0))
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name).value == 0.0


def test_the_same_pictures_have_all_of_it():
    found = manifold_figures(drawn(1), drawn(1))
    assert found.precision.value == found.recall.value == found.coverage.value == 1.0


def test_pictures_that_are_all_alike_are_faithful_and_not_diverse():
    alike = np.random.default_rng(0).normal(0, 0.01, (40, 4))
    found = manifold_figures(drawn(1, n=200), alike)
    assert found.precision.value == 1.0
    assert found.recall.value < 0.1
    assert found.coverage.value < 0.3


def test_their_error_is_that_of_figures_without_each_group_in_turn(monkeypatch):
    monkeypatch.setattr(module, "N_GROUPS", 4)
    a, b = drawn(1, n=60), drawn(2, n=60, shift=0.5)
    found = manifold_figures(a, b, k_precision=3, k_density=3)
    left = [by_hand(a[stay], b[stay], 3) for stay in (np.arange(60) % 4 != g for g in range(4))]
    for name in ("precision", "recall", "density", "coverage"):
        values = np.array([of[name] for of in left])
        half = stats.t.ppf(0.975, 3) * np.sqrt(3 / 4 * ((values - values.mean()) ** 2).sum())
        of = getattr(found, name)
        assert of.low <= max(0.0, of.value - half) + 1e-12
        assert of.high >= (of.value + half if name == "density" else min(1.0, of.value + half))
        if name == "density":  # its bootstrap over pictures in given balls is shorter here
            assert of.low == pytest.approx(max(0.0, of.value - half))


def test_an_outlier_with_a_large_ball_makes_precision_uncertain():
    a = np.concatenate([drawn(1, n=99), np.full((1, 4), 30.0)])
    b = drawn(2, shift=15.0)  # in the outlier's ball alone
    found = manifold_figures(a, b, k_precision=1).precision
    assert found.value > 0.9
    assert found.low < 0.1


@pytest.mark.parametrize("sizes", [(40, 10), (10, 40), (7, 8)])
def test_few_pictures_and_sets_of_unequal_size_have_as_many_groups(sizes):
    a, b = drawn(1, n=sizes[0]), drawn(2, n=sizes[1])
    found = manifold_figures(a, b)
    assert found.precision.value == by_hand(a, b, 3)["precision"]
    assert found.recall.low <= by_hand(a, b, 3)["recall"] <= found.recall.high


def test_blocks_of_rows_give_the_same(monkeypatch):
    a, b = drawn(1), drawn(2)
    whole = manifold_figures(a, b)
    monkeypatch.setattr(module, "_ROWS", 7)
    assert manifold_figures(a, b) == whole


def test_too_few_pictures_and_other_features_are_refused():
    with pytest.raises(DegenerateDataError, match="5 neighbours"):
        manifold_figures(drawn(1, n=6), drawn(1))
    with pytest.raises(ShapeError, match="4 and 3 wide"):
        manifold_figures(drawn(1), drawn(1, d=3))
    with pytest.raises(ValueError, match="k is 0"):
        manifold_figures(drawn(1), drawn(1), k_precision=0)
