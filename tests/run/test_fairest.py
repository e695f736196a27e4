"""The best baseline is chosen on other subjects, and differences to it are shown, not assumed."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from probe.audit.fairness import paired_difference
from probe.run.compare.measurement import compare_with_best_baseline, keeps, ranked
from probe.stats.equivalence import equivalence_p, noninferiority_p
from probe.stats.multiplicity import holm
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


def compared(counts, candidates, *, chosen_on=None):
    chosen_on = counts if chosen_on is None else chosen_on
    return compare_with_best_baseline(counts, chosen_on, candidates, resampling=FEW)


def test_the_best_baseline_is_chosen_on_other_subjects_than_it_is_compared_on():
    counts, chosen_on = table(0), table(1)
    found = compared(counts, ["m1", "m2", "m3"], chosen_on=chosen_on)
    mads = {name: np.abs(chosen_on[name][:, 0] / 20 - 0.5).mean() for name in ("m1", "m2", "m3")}
    assert found["best"] == min(mads, key=mads.get)
    names = [of["name"] for of in found["differences"]]
    assert names == [name for name in counts if name != found["best"]]


@pytest.mark.slow
def test_differences_are_paired_and_adjusted_by_holm_over_all_of_them():
    counts = table(1, worse=("m3",))
    found = compared(counts, ["m0"])
    rows = {of["name"]: of for of in found["differences"]}
    plain = {
        name: paired_difference(counts["m0"], of, resampling=FEW.for_tests(19), unit="occupations")
        for name, of in counts.items()
        if name != "m0"
    }
    assert {name: row["value"] for name, row in rows.items()} == {
        name: of.value for name, of in plain.items()
    }
    np.testing.assert_allclose(
        [row["p_holm"] for row in rows.values()], holm(np.array([of.p for of in plain.values()]))
    )
    assert [name for name, row in rows.items() if row["p_holm"] <= 0.05] == ["m3"]


@pytest.mark.slow
def test_equal_methods_are_called_different_as_rarely_as_said():
    n_wrong = 0
    for seed in range(40):
        counts = table(seed, n_methods=4)
        found = compared(counts, list(counts), chosen_on=table(seed + 100, n_methods=4))
        n_wrong += any(of["p_holm"] <= 0.05 for of in found["differences"])
    assert n_wrong <= 5  # 5 % of 40, and two standard errors


def test_a_method_that_is_no_candidate_is_compared_but_never_the_best():
    counts = table(2, n_methods=3)
    counts["ours"] = np.tile([10, 10], (30, 1))
    found = compared(counts, ["m0", "m1", "m2"])
    assert found["best"] != "ours"
    assert "ours" in [of["name"] for of in found["differences"]]
    assert compared(counts, [])["best"] is None


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


def test_methods_are_ranked_by_group_then_those_that_keep_explicit_prompts_then_by_mad():
    rows = [("a", False, 0.0), ("b", True, 0.2), ("c", True, 0.1)]
    on_all = {"value": 0.0}  # training occupations included, which do not count
    methods = [
        {"name": f"{name} {words}", "keeps_explicit": keeps, "words": words}
        | {"mad": on_all, "mad_test": {"value": mad}}
        for words in ("training", "none")
        for name, keeps, mad in rows
    ]
    names = [of["name"] for of in ranked(methods)]
    assert names == [f"{name} {words}" for words in ("none", "training") for name in "cba"]
