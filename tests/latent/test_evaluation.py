"""What erasers leave and take along: planted answers, honest folds, exact chances."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from probe.errors import DataError, DegenerateDataError
from probe.latent.erasure.evaluation import _linear_probe, erasure_table
from probe.latent.erasure.lipstick import clusters_left
from probe.stats.resampling import Resampling


def prompts(*, n_pairs=150, n_features=16, step=1.0, curved=0.0, seed=0):
    """Pairs with gender on one axis and an occupation on others; groups, jobs, pair numbers."""
    rng = np.random.default_rng(seed)
    jobs = np.arange(n_pairs) % 4
    shared = np.zeros((n_pairs, n_features))
    shared[np.arange(n_pairs), 1 + jobs] = 3.0
    z = np.repeat(shared, 2, axis=0)
    y = np.tile([0, 1], n_pairs)
    z[:, 0] += step * (2 * y - 1)
    z[:, 6] += curved * np.where(y == 1, rng.choice([-1, 1], size=2 * n_pairs), 0)
    z += 0.3 * rng.normal(size=z.shape)
    return z, y, np.repeat(jobs, 2), np.repeat(np.arange(n_pairs), 2)


def row(table, name):
    return table.set_index("eraser").loc[name]


def test_a_linear_concept_goes_and_what_is_to_be_kept_stays():
    z, y, jobs, pairs = prompts()
    table = erasure_table(z, y, keep={"job": jobs}, pairs=pairs)
    assert table["eraser"].tolist() == [
        "none", "mean-gap", "hard-debias", "inlp", "leace", "calibrated"
    ]  # fmt: skip
    before = row(table, "none")
    assert before["linear"] > 0.99
    assert before["nearest"] > 0.9
    assert before["cosine"] == before["cosine_low"] == before["cosine_high"] == 1.0
    assert before["kept_job"] > 0.99
    assert (table["chance"] == 0.5).all()
    assert (table["kept_job_chance"] == 76 / 300).all()
    assert (table["n"] == 300).all()
    after = table[table["eraser"] != "none"]
    assert (after["linear"] < 0.65).all()
    assert (after["nearest"] < 0.65).all()
    # the calibrated projection shrinks and removes nothing whole; of the others the interval
    # holds what complete erasure leaves
    whole = after[after["eraser"] != "calibrated"]
    assert (whole["linear_low"] <= 0.5).all()
    assert (whole["nearest_low"] <= 0.5).all()
    assert (after["kept_job"] > 0.95).all()
    assert (after["cosine"] < 1.0).all()


def test_every_figure_lies_in_its_interval():
    z, y, jobs, pairs = prompts(n_pairs=40)
    for clusters in (None, jobs):
        table = erasure_table(z, y, keep={"job": jobs}, pairs=pairs, clusters=clusters)
        for name in ("linear", "nearest", "cosine", "kept_job"):
            # of a mean over clusters the percentile interval may miss it by a draw
            assert (table[f"{name}_low"] <= table[name] + 1e-12).all()
            assert (table[name] <= table[f"{name}_high"] + 1e-12).all()


def test_a_curved_concept_is_left_to_the_nearest_neighbour():
    z, y, _, pairs = prompts(step=0.5, curved=3.0)
    after = row(erasure_table(z, y, pairs=pairs), "leace")
    assert after["linear"] < 0.6
    assert after["nearest"] > 0.9


def test_a_concept_in_the_nuisance_is_not_invented():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(400, 30)), np.arange(400) % 2
    table = erasure_table(z, y)
    # accuracy of chance over 400 rows has a deviation of 0.025
    assert abs(row(table, "none")["linear"] - 0.5) < 0.1
    assert abs(row(table, "none")["nearest"] - 0.5) < 0.1


def test_the_probes_see_rows_that_the_eraser_did_not():
    # in 200 dimensions 40 rows leave most of a gap behind; probed on the rows that it was fitted
    # on, where the means coincide, a linear probe would see none of it
    rng = np.random.default_rng(1)
    y = np.arange(100) % 2
    z = rng.normal(size=(100, 200)) + 0.35 * (2 * y - 1)[:, None]
    table = erasure_table(z, y)
    assert row(table, "none")["linear"] > 0.95
    assert row(table, "mean-gap")["linear"] > 0.6


def test_more_than_two_groups_are_erased():
    rng = np.random.default_rng(2)
    y = np.arange(300) % 3
    z = 2 * np.eye(8)[y] + 0.5 * rng.normal(size=(300, 8))
    table = erasure_table(z, np.array(["a", "b", "c"])[y])
    assert table["eraser"].tolist() == ["none", "hard-debias", "inlp", "leace", "calibrated"]
    assert (table["n_groups"] == 3).all()
    assert row(table, "none")["linear"] > 0.95
    assert (table["linear"][1:] < 0.45).all()


def test_a_space_that_is_erased_whole_leaves_no_rounding_to_probe():
    rng = np.random.default_rng(2)
    y = np.arange(200) % 2
    z = y[:, None] + 0.5 * rng.normal(size=(200, 1))
    table = erasure_table(z, y)
    assert row(table, "none")["linear"] > 0.75
    assert row(table, "leace")["linear"] == row(table, "leace")["nearest"] == 0.5


def test_a_group_between_two_others_is_not_masked():
    """Least squares on indicators never names the middle group: 0.76 where all are separate."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(3), 100)
    z = 0.1 * rng.normal(size=(300, 6))
    z[:, 0] += groups
    table = erasure_table(z, groups)
    assert row(table, "none")["linear"] == 1.0
    assert row(table, "leace")["linear"] < 0.5


def test_the_linear_probe_is_scikit_learns_discriminant():
    rng, codes = np.random.default_rng(1), np.random.default_rng(2).integers(4, size=120)
    train, test = rng.normal(size=(120, 6)) + 0.5 * codes[:, None], rng.normal(size=(50, 6))
    means = np.stack([train[codes == group].mean(axis=0) for group in range(4)])
    reference = LinearDiscriminantAnalysis(
        solver="lsqr",
        shrinkage=ledoit_wolf_shrinkage(train - means[codes], assume_centered=True),
    ).fit(train, codes)
    np.testing.assert_array_equal(_linear_probe(train, test, codes), reference.predict(test))


def test_the_table_says_what_it_needs():
    z, y, *_ = prompts(n_pairs=20)
    with pytest.raises(DataError, match="smallest group has 9 rows; needed 10"):
        erasure_table(z[:18], y[:18])
    with pytest.raises(DataError, match="shares its pair number"):
        erasure_table(z, y, pairs=np.arange(40))


# Lipstick on a pig


def test_clusters_that_erasure_left_are_found():
    # the lean shows on 20 axes, of which one is erased
    rng = np.random.default_rng(3)
    lean = np.repeat([-3.0, 3.0], 100) + 0.5 * rng.normal(size=200)
    z = lean[:, None] * np.ones(20) + 0.5 * rng.normal(size=(200, 20))
    z[:, 0] = 0.0
    found = clusters_left(z, lean)
    assert found.value == found.high == 1.0
    assert found.n == 200
    assert found.p == 1 / 10_001  # as small as 10,000 permutations can show


def test_where_the_lean_is_gone_the_clusters_know_nothing():
    rng = np.random.default_rng(4)
    z, lean = rng.normal(size=(200, 20)), rng.normal(size=200)
    found = clusters_left(z, lean)
    assert found.low <= found.chance <= found.high
    assert found.p > 0.05
    # the mean of max(k, n - k) / n of a hypergeometric k with deviation sqrt(n) / 4 is
    # 1/2 + sqrt(2 / pi) / (2 sqrt(n)) for halves: 0.528
    assert found.chance == pytest.approx(0.528, abs=0.002)


def test_chance_is_that_of_shuffled_leans():
    z = np.concatenate([np.zeros((3, 2)), np.ones((7, 2))]) + 0.01 * np.arange(20).reshape(10, 2)
    lean = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9.0])
    found = clusters_left(z, lean)
    assert found.value == 0.8  # a cluster of 3 low, one of 2 low and 5 high
    # of 120 choices of 3 of 10, those with 0 or 3 of the low half make 8 of 10, the others 6;
    # four standard errors of 10,000 permutations
    assert found.p == pytest.approx(20 / 120, abs=0.015)
    assert found.chance == pytest.approx((20 * 0.8 + 100 * 0.6) / 120, abs=0.003)


def test_the_sign_of_the_lean_does_not_matter():
    rng = np.random.default_rng(5)
    lean = rng.normal(size=100)
    z = lean[:, None] * np.ones(5) + rng.normal(size=(100, 5))
    first, second = clusters_left(z, lean), clusters_left(z, -lean)
    assert first.value == second.value > 0.7


def test_copies_of_a_word_add_nothing_to_the_clusters():
    rng = np.random.default_rng(6)
    lean = rng.normal(size=20)
    z = lean[:, None] * np.ones(5) + 2 * rng.normal(size=(20, 5))
    once, of = clusters_left(z, lean), np.repeat(np.arange(20), 6)
    copied = clusters_left(np.repeat(z, 6, axis=0), np.repeat(lean, 6), words=of)
    assert (copied.value, copied.n) == (once.value, once.n)
    assert (copied.p, copied.chance) == pytest.approx((once.p, once.chance))
    assert copied.high - copied.low >= once.high - once.low - 1e-12


@pytest.mark.slow
def test_prompts_of_a_word_make_no_false_alarm():
    """Singly, the 240 prompts of 40 unbiased words reject more than 3 of 10 times at 5 %."""
    of, alone, clustered = np.repeat(np.arange(40), 6), 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        z = np.repeat(rng.normal(size=(40, 8)), 6, axis=0) + 0.2 * rng.normal(size=(240, 8))
        lean = np.repeat(rng.normal(size=40), 6) + 0.2 * rng.normal(size=240)
        alone += clusters_left(z, lean).p <= 0.05
        found = clusters_left(z, lean, words=of, permutations=Resampling(500))
        clustered += found.p <= 0.05
    assert alone >= 12
    assert clustered <= 6  # 5 % of 40, and three standard errors


def test_clusters_say_what_they_need():
    z, lean = np.random.default_rng(0).normal(size=(10, 3)), np.arange(10.0)
    with pytest.raises(DataError, match="3 words; needed at least 4"):
        clusters_left(z[:3], lean[:3])
    with pytest.raises(DegenerateDataError, match="reach the same bias score"):
        clusters_left(z, np.zeros(10))
    with pytest.raises(DegenerateDataError, match="all the same after erasure"):
        clusters_left(np.ones((10, 3)), lean)
