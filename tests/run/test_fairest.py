"""The fairest method is named only as far as paired tests over occupations show it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from probe.run.compare.measurement import compare_with_fairest, keeps, ranked
from probe.stats.equivalence import equivalence_p, noninferiority_p
from probe.stats.resampling import Resampling

FEW = Resampling(200)


def drawn(rng, shares, n=20):
    first = rng.binomial(n, shares)
    return np.stack([first, n - first], axis=1)


def table(seed, n_methods=20, worse=()):
    """Methods that are equally fair in truth, but for some."""
    rng = np.random.default_rng(seed)
    return {
        f"m{number}": drawn(rng, np.full(30, 0.95 if f"m{number}" in worse else 0.5))
        for number in range(n_methods)
    }


def test_the_luckiest_of_20_equal_methods_cannot_be_told_apart_from_the_others():
    counts = table(0)
    found = compare_with_fairest(counts, list(counts), resampling=FEW)
    mads = {name: np.abs(of[:, 0] / 20 - 0.5).mean() for name, of in counts.items()}
    assert found["fairest"] == min(mads, key=mads.get)
    assert len(found["differences"]) == 19
    assert not any(of["is_less_fair"] for of in found["differences"])
    assert found["n_pairs"] == 190


def test_a_method_that_is_less_fair_is_called_so_also_among_many():
    counts = table(1, worse=("m3",))
    found = compare_with_fairest(counts, list(counts), resampling=FEW)
    assert [of["name"] for of in found["differences"] if of["is_less_fair"]] == ["m3"]


def test_equal_methods_are_called_less_fair_as_rarely_as_said():
    n_wrong = 0
    for seed in range(40):
        counts = table(seed, n_methods=4)
        found = compare_with_fairest(counts, list(counts), resampling=FEW)
        n_wrong += any(of["is_less_fair"] for of in found["differences"])
    assert n_wrong <= 5  # 5 % of 40, and two standard errors


def test_a_method_that_loses_what_must_be_kept_is_never_the_fairest():
    counts = table(2, n_methods=3)
    counts["cheat"] = np.tile([10, 10], (30, 1))
    found = compare_with_fairest(counts, ["m0", "m1", "m2"], resampling=FEW)
    assert found["fairest"] != "cheat"
    assert "cheat" not in [of["name"] for of in found["differences"]]
    assert compare_with_fairest(counts, [], resampling=FEW)["fairest"] is None


@pytest.mark.parametrize(
    ("change", "is_kept"), [([0.0] * 29, True), ([0.0] * 28, False), ([-0.1] * 40, False)]
)
def test_what_is_kept_is_shown_and_not_assumed(change, is_kept):
    found = keeps(np.array(change), resampling=FEW)
    assert found["is_kept"] is is_kept
    assert found["n"] == len(change)


@pytest.mark.parametrize("n", [2, 12, 40])
def test_where_nothing_differs_compare_and_evaluate_decide_by_one_rule(n):
    """`keeps` took the sign test, 2^-n, where `evaluate` took the bound of a share."""
    nothing = np.zeros(n)
    found = keeps(nothing, margin=0.05, resampling=FEW)
    assert found["p_noninferior"] == equivalence_p(nothing, 0.05, bounds=(-1.0, 1.0))
    assert found["p_noninferior"] == pytest.approx(min(0.5, 0.95**n))
    assert (found["p_noninferior"] <= 0.025) == (found["low"] > -0.05)


def test_a_loss_in_one_occupation_of_forty_is_not_shown_to_be_within_a_point():
    lost = np.zeros(40)
    lost[0] = -0.3  # on average 0.75 points, and no more than one occupation knows of it
    assert not keeps(lost, margin=0.01, resampling=FEW)["is_kept"]


def test_noninferiority_is_one_of_the_two_tests_of_equivalence():
    change = np.random.default_rng(0).normal(-0.02, 0.05, 30)
    one = noninferiority_p(change, 0.05)
    assert one == pytest.approx(ttest_1samp(change, -0.05, alternative="greater").pvalue)
    assert equivalence_p(change, 0.05) == max(one, noninferiority_p(-change, 0.05))


def test_methods_that_lose_explicit_prompts_are_ranked_last():
    methods = [
        {"name": name, "keeps_explicit": keeps, "mad": {"value": mad}}
        for name, keeps, mad in (("a", False, 0.0), ("b", True, 0.2), ("c", True, 0.1))
    ]
    assert [of["name"] for of in ranked(methods)] == ["c", "b", "a"]
