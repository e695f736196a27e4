"""The subspace in which several groups stand apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import PairDirection
from probe.latent.directions.subspace import GroupSubspace

seeds = st.integers(0, 2**32 - 1)


def groups_at(places, *, n_each=30, noise=0.0, seed=0):
    """Rows around known places, and the names of their groups."""
    rng = np.random.default_rng(seed)
    places = np.asarray(places, dtype=float)
    names = np.repeat([f"group {k}" for k in range(len(places))], n_each)
    z = np.repeat(places, n_each, axis=0)
    return z + noise * rng.normal(size=z.shape), names


def test_two_groups_have_the_axis_of_their_mean_gap():
    rng = np.random.default_rng(0)
    male, female = rng.normal(size=(20, 6)) + np.eye(6)[2], rng.normal(size=(20, 6))
    z, y = np.concatenate([male, female]), np.repeat(["male", "female"], 20)
    fitted = GroupSubspace().fit(z, y)
    assert fitted.groups_.tolist() == ["female", "male"]
    assert fitted.axes_.shape == (1, 6)
    # the later of two names is on the positive side, as male is of every direction
    np.testing.assert_allclose(
        fitted.axes_[0], PairDirection().fit(male, female).direction_, atol=1e-12
    )
    np.testing.assert_allclose(fitted.spread_, PairDirection().fit(male, female).gap_ / np.sqrt(2))


def test_three_known_places_span_a_known_plane():
    z, names = groups_at([[3, 0, 0, 5], [-3, 0, 0, 5], [0, 1, 0, 5]])
    fitted = GroupSubspace().fit(z, names)
    np.testing.assert_allclose(np.abs(fitted.axes_), np.eye(4)[:2], atol=1e-12)
    np.testing.assert_allclose(fitted.center_, [0, 1 / 3, 0, 5], atol=1e-12)
    # centred second coordinates are -1/3, -1/3, 2/3
    np.testing.assert_allclose(fitted.spread_, [np.sqrt(18), np.sqrt(6) / 3])
    places = fitted.project(z[::30])
    np.testing.assert_allclose(places[2], [0, 2 / 3], atol=1e-12)  # farthest out: positive side
    np.testing.assert_allclose(np.abs(places[:2]), [[3, 1 / 3]] * 2, atol=1e-12)


def test_places_on_a_line_span_one_axis():
    z, names = groups_at([[0, 0, 0], [1, 2, 2], [2, 4, 4], [5, 10, 10]])
    fitted = GroupSubspace().fit(z, names)
    np.testing.assert_allclose(fitted.axes_, [[1 / 3, 2 / 3, 2 / 3]], atol=1e-12)


def test_a_group_counts_once_whatever_its_size():
    z, names = groups_at([[1, 0], [0, 1], [0, 0]])
    keep = np.r_[0, 1, 30:60, 60:65]
    few = GroupSubspace().fit(z[keep], names[keep])
    np.testing.assert_allclose(few.center_, GroupSubspace().fit(z, names).center_, atol=1e-12)


@given(seed=seeds)
def test_a_rotation_and_a_shift_of_the_space_move_the_subspace_along(seed):
    rng = np.random.default_rng(seed)
    z, names = groups_at(rng.normal(size=(4, 6)), noise=0.1, seed=seed)
    turn, shift = ortho_group.rvs(6, random_state=seed % 1000), rng.normal(size=6)
    plain, moved = GroupSubspace().fit(z, names), GroupSubspace().fit(z @ turn + shift, names)
    # the plane turns; within it an axis is only as well defined as its spread stands alone
    both = [fitted.axes_.T @ fitted.axes_ for fitted in (plain, moved)]
    np.testing.assert_allclose(both[1], turn.T @ both[0] @ turn, atol=1e-8)
    np.testing.assert_allclose(moved.spread_, plain.spread_, atol=1e-10)


def test_only_the_first_axes_are_kept_on_request():
    z, names = groups_at(3 * np.eye(5)[:4])
    assert GroupSubspace().fit(z, names).axes_.shape == (3, 5)
    fitted = GroupSubspace(n_axes=2).fit(z, names)
    assert fitted.axes_.shape == (2, 5)
    assert fitted.project(z).shape == (120, 2)
    for n_axes in (0, 4):
        with pytest.raises(ValueError, match=f"n_axes is {n_axes}; the means of 4 groups differ"):
            GroupSubspace(n_axes=n_axes).fit(z, names)


def test_what_holds_no_groups_is_refused():
    z, names = groups_at([[1, 0], [0, 1]])
    with pytest.raises(DegenerateDataError, match="all rows are of the group a"):
        GroupSubspace().fit(z, ["a"] * 60)
    with pytest.raises(DegenerateDataError, match="means of 2 groups coincide"):
        GroupSubspace().fit(np.ones((60, 2)), names)
    with pytest.raises(ShapeError, match=r"groups have shape \(3,\); needed one of each of 60"):
        GroupSubspace().fit(z, names[:3])
    with pytest.raises(DataError, match="not finite"):
        GroupSubspace().fit(np.full((60, 2), np.nan), names)
    with pytest.raises(ShapeError, match="3 features but 2"):
        GroupSubspace().fit(z, names).project(np.ones((1, 3)))
