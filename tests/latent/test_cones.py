"""How firm an axis is: cones, cosines, stability."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.latent.directions import BiasDirection, PairDirection
from probe.latent.directions.cones import direction_cone, pairwise_cosines, stability
from probe.latent.directions.estimators import ESTIMATORS, PrincipalDirection
from probe.stats.resampling import Resampling


def pairs(*, n_clusters=40, per_cluster=1, n_features=20, noise=0.1, seed=0):
    """A step of 1 along the first axis, with noise that the pairs of a cluster share."""
    rng = np.random.default_rng(seed)
    jitter = noise * rng.normal(size=(n_clusters, n_features))
    clusters = np.repeat(np.arange(n_clusters), per_cluster)
    shared = rng.normal(size=(len(clusters), n_features))
    return shared + np.eye(n_features)[0] + jitter[clusters], shared, clusters


class PlainPairDirection(PairDirection):
    """The pair direction, of which the cone does not know that it is one."""


def test_pairs_that_all_differ_alike_leave_no_cone():
    male, female, _ = pairs(noise=0.0)
    cone = direction_cone(PairDirection(), male, female, resampling=Resampling(50))
    np.testing.assert_allclose(cone.angles, 0.0, atol=1e-10)
    assert (cone.median, cone.high) == pytest.approx((0.0, 0.0), abs=1e-10)


def test_the_cone_is_as_wide_as_the_error_of_the_mean():
    male, female, _ = pairs(n_clusters=200)
    cone = direction_cone(PairDirection(), male, female, resampling=Resampling(2000))
    # noise of 0.1 / sqrt(200) in each of 19 columns at a right angle to a step of 1: its length
    # is about 0.1 * sqrt(19 / 200) = 0.0308 or 1.77 degrees; the noise's own sample spread over
    # 200 pairs moves this by a twentieth
    assert cone.median == pytest.approx(np.degrees(0.1 * np.sqrt(19 / 200)), rel=0.1)
    assert cone.median < cone.high < 2 * cone.median
    assert (cone.n_pairs, cone.n_clusters) == (200, 200)


def test_the_matrix_product_of_the_pair_direction_equals_one_fit_a_draw():
    male, female, clusters = pairs(n_clusters=8, per_cluster=3)
    options = {"clusters": clusters, "resampling": Resampling(40, 5)}
    quick = direction_cone(PairDirection(), male, female, **options)
    slow = direction_cone(PlainPairDirection(), male, female, **options)
    np.testing.assert_allclose(quick.angles, slow.angles, atol=1e-8)


def test_pairs_of_one_cluster_are_not_independent():
    male, female, clusters = pairs(n_clusters=30, per_cluster=9)
    naive = direction_cone(PairDirection(), male, female)
    honest = direction_cone(PairDirection(), male, female, clusters=clusters)
    # nine copies of the noise make the naive cone sqrt(9) too narrow
    assert honest.median == pytest.approx(3 * naive.median, rel=0.1)
    assert (honest.n_pairs, honest.n_clusters) == (270, 30)


def test_a_cluster_of_names_is_as_good_as_one_of_numbers():
    male, female, clusters = pairs(n_clusters=5, per_cluster=2)
    names = np.array(["cook", "nurse", "clerk", "judge", "baker"])[clusters]
    first, second = (
        direction_cone(
            PairDirection(), male, female, clusters=c, resampling=Resampling(20)
        ).n_clusters
        for c in (clusters, names)
    )
    assert first == second == 5


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_has_a_cone_that_its_seed_repeats(name):
    male, female, clusters = pairs(n_clusters=12, per_cluster=3, n_features=5)
    options = {"clusters": clusters}
    cone = direction_cone(ESTIMATORS[name](), male, female, resampling=Resampling(20, 1), **options)
    again = direction_cone(
        ESTIMATORS[name](), male, female, resampling=Resampling(20, 1), **options
    )
    other = direction_cone(
        ESTIMATORS[name](), male, female, resampling=Resampling(20, 2), **options
    )
    np.testing.assert_array_equal(cone.angles, again.angles)
    assert (cone.angles != other.angles).any()
    assert 0.0 < cone.median <= cone.high < 90.0


def test_a_cone_needs_two_clusters_and_a_draw():
    male, female, _ = pairs(n_clusters=4)
    with pytest.raises(DataError, match="4 pairs in 1 clusters"):
        direction_cone(PairDirection(), male, female, clusters=np.zeros(4))
    with pytest.raises(DataError, match="1 pairs in 1 clusters"):
        direction_cone(PairDirection(), male[:1], female[:1])
    with pytest.raises(ShapeError, match=r"clusters have shape \(3,\); needed one of each of 4"):
        direction_cone(PairDirection(), male, female, clusters=[0, 1, 2])
    with pytest.raises(ValueError, match="number of resamples is 0"):
        direction_cone(PairDirection(), male, female, resampling=Resampling(0))
    with pytest.raises(DegenerateDataError, match="vanish"):
        direction_cone(PairDirection(), male, male)


def test_a_draw_of_pairs_that_cancel_is_refused():
    male = np.array([[0.5, 0.0], [-0.25, 0.0], [0.0, 0.5]])
    one_each = {"resampling": Resampling(200), "clusters": [0, 0, 1]}
    assert direction_cone(PairDirection(), male, np.zeros((3, 2)), **one_each).n_clusters == 2
    male[1] = [-0.5, 0.0]
    with pytest.raises(DegenerateDataError, match=r"vanish on average in \d+ of 200 draws"):
        direction_cone(PairDirection(), male, np.zeros((3, 2)), **one_each)


def test_sides_that_differ_by_the_rounding_of_half_precision_have_no_cone():
    male, _, _ = pairs(n_clusters=6)
    rounded = male.astype(np.float16)
    nudged = np.nextafter(rounded, np.float16(np.inf))
    for measure in (direction_cone, stability):
        with pytest.raises(DegenerateDataError, match="vanish"):
            measure(PairDirection(), nudged, rounded)


def test_cosines_of_known_axes():
    table = pairwise_cosines(
        {"east": np.array([2.0, 0.0]), "north": np.array([0.0, 1.0]), "both": np.array([1.0, 1.0])}
    )
    root = np.sqrt(0.5)
    expected = [[1.0, 0.0, root], [0.0, 1.0, root], [root, root, 1.0]]
    np.testing.assert_allclose(table.to_numpy(), expected, atol=1e-15)
    assert list(table.index) == list(table.columns) == ["east", "north", "both"]


def test_only_axes_of_one_space_are_compared():
    one, other = (BiasDirection(np.eye(2)[0], "gender", encoder) for encoder in ("a", "b"))
    with pytest.raises(DataError, match=r"\['a', 'b'\]; needed those of one encoder"):
        pairwise_cosines({"one": one, "other": other})
    with pytest.raises(DataError, match=r"widths \[2, 3\]"):
        pairwise_cosines({"one": one, "other": np.eye(3)[0]})
    with pytest.raises(DataError, match=r"widths \[\]"):
        pairwise_cosines({})
    with pytest.raises(DataError, match="zero or not finite"):
        pairwise_cosines({"one": one, "none": np.zeros(2)})


def test_an_axis_grows_stable_with_the_number_of_pairs():
    male, female, _ = pairs(n_clusters=64, noise=0.3)
    table = stability(PairDirection(), male, female)
    assert table["n_units"].tolist() == table["n_pairs"].tolist() == [1, 2, 4, 8, 16, 32]
    assert table["cosine"].is_monotonic_increasing
    # of n differences the noise has the squared length 19 * 0.09 / n beside a step of 1, and is
    # not shared by two sets: a cosine of 1 / (1 + 1.71 / n)
    np.testing.assert_allclose(table["cosine"], 1 / (1 + 1.71 / table["n_units"]), atol=0.1)
    assert (table["low"] <= table["cosine"]).all()
    assert (table["cosine"] <= table["high"]).all()
    assert (table["to_full"] > table["cosine"]).all()  # the full axis knows the set already


def test_templates_are_drawn_whole():
    male, female, templates = pairs(n_clusters=6, per_cluster=10)
    table = stability(PairDirection(), male, female, units=templates, sizes=[1, 3], n_draws=10)
    assert table["n_units"].tolist() == [1, 3]
    assert table["n_pairs"].tolist() == [10.0, 30.0]
    assert table["n_draws"].tolist() == [10, 10]
    again = stability(PairDirection(), male, female, units=templates, sizes=[1, 3], n_draws=10)
    assert table.equals(again)


def test_stability_says_what_it_needs():
    male, female, _ = pairs(n_clusters=6)
    with pytest.raises(ValueError, match=r"sizes holds \[0, 4\]; needed 1 to 3, half of 6 units"):
        stability(PairDirection(), male, female, sizes=[0, 2, 4])
    with pytest.raises(ValueError, match="n_draws is 0"):
        stability(PairDirection(), male, female, n_draws=0)
    with pytest.raises(DataError, match="1 units; needed at least 2"):
        stability(PairDirection(), male[:1], female[:1])


@pytest.mark.real
def test_the_cosine_of_two_real_gender_differences_is_the_known_one(real_data):
    with (real_data / "detic/oid_categories.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    z = np.load(real_data / "detic/oid_clip_a+cname.npy").astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    man, woman, boy, girl = (z[[names.index(word)]] for word in ("Man", "Woman", "Boy", "Girl"))
    both = np.concatenate([man, boy]), np.concatenate([woman, girl])
    table = pairwise_cosines(
        {
            "adults": PairDirection().fit(man, woman).direction_,
            "children": PairDirection().fit(boy, girl).direction_,
            "pairs": PairDirection().fit(*both).direction_,
            "pca": PrincipalDirection().fit(*both).direction_,
        }
    )
    assert table.loc["adults", "children"] == pytest.approx(0.650, abs=5e-4)
    # the bisector of an angle of 49.5 degrees is 24.7 degrees from both, cosine 0.908; as the
    # differences are not of one length it leans to the longer
    np.testing.assert_allclose(table.loc["pairs", ["adults", "children"]], 0.908, atol=0.05)
    assert table.loc["pairs", "pca"] > 0.99
