"""Two sources: differences, equivalence and pairs, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from probe.audit.comparison import align, compare_figures, compare_shares, paired_images
from probe.audit.readers.labels import read_labels
from probe.audit.tables import CountTable
from probe.errors import DataError
from probe.stats.resampling import Resampling


def table(counts, *, subjects=None, values=("woman", "man"), source="a"):
    counts = np.array(counts)
    names = subjects or [f"subject {i}" for i in range(len(counts))]
    return CountTable(source, "gender", names, list(values), counts, {})


def test_equivalence_is_two_one_sided_t_tests():
    rng = np.random.default_rng(0)
    first, second = (rng.binomial(200, 0.7, 15) for _ in range(2))
    a, b = (np.stack([hits, 200 - hits], axis=1) for hits in (first, second))
    found = compare_figures(table(a), table(b), margin=0.04)
    rows = np.abs(second / 200 - 0.5) - np.abs(first / 200 - 0.5)
    above = stats.ttest_1samp(rows, -0.04, alternative="greater").pvalue
    below = stats.ttest_1samp(rows, 0.04, alternative="less").pvalue
    assert found.p_equivalent == pytest.approx(max(above, below))
    assert (
        found.p_equivalent < 0.05 < compare_figures(table(a), table(b), margin=0.001).p_equivalent
    )


@pytest.mark.slow
def test_models_at_the_margin_are_called_equivalent_as_rarely_as_said():
    rng = np.random.default_rng(4)
    n_called = 0
    for seed in range(150):
        first, second = rng.binomial(400, 0.80, 12), rng.binomial(400, 0.85, 12)
        a, b = (np.stack([hits, 400 - hits], axis=1) for hits in (first, second))
        found = compare_figures(table(a), table(b), margin=0.05, resampling=Resampling(1, seed))
        n_called += found.p_equivalent < 0.05
    # 5 % and three standard errors of 1.8 points
    assert n_called / 150 <= 0.104


def test_shares_are_compared_by_fishers_test():
    [found] = compare_shares(table([[18, 2]]), table([[9, 11]]), "woman")
    assert found.p == pytest.approx(stats.fisher_exact([[18, 2], [9, 11]])[1])
    assert (found.first, found.second, found.n_pairs) == (0.9, 0.45, 0)
    with pytest.raises(DataError, match="not 'women'"):
        compare_shares(table([[18, 2]]), table([[9, 11]]), "women")


def labels(tmp_path, name, rows):
    path = tmp_path / name
    lines = [f"nurse,{value},{seed}\n" for seed, value in rows]
    path.write_text("subject,gender,seed\n" + "".join(lines))
    return read_labels(path, values=["woman", "man"])


def test_pictures_of_equal_seed_are_pairs(tmp_path):
    before = dict.fromkeys(range(12), "woman") | {12: "man", 13: "", 14: "man"}
    after = dict.fromkeys(range(9), "man") | {9: "woman", 12: "woman", 13: "man", 20: "man"}
    first = labels(tmp_path, "a.csv", [*before.items(), (14, "woman")])
    second = labels(tmp_path, "b.csv", [*after.items(), (14, "man")])
    pairs = paired_images(first, second, "gender", "woman")
    # 13 shows nothing before, 14 stands twice, 10, 11 and 20 are in one source only
    np.testing.assert_array_equal(pairs["nurse"], [[0, 1], [9, 1]])
    [found] = compare_shares(first.count("gender"), second.count("gender"), "woman", pairs=pairs)
    assert found.p == pytest.approx(stats.binomtest(1, 10).pvalue)
    assert found.n_pairs == 11


def test_subjects_of_one_source_only_are_told(tmp_path):
    a = table([[1, 2], [3, 4], [5, 6]], subjects=["nurse", "cook", "judge"])
    b = table([[4, 3], [2, 1]], subjects=["cook", "pilot"], values=("man", "woman"), source="b")
    first, second, missing = align(a, b)
    assert first.subjects == second.subjects == ["cook"]
    np.testing.assert_array_equal(second.counts, [[3, 4]])
    assert missing == ["nurse", "judge", "pilot"]
    with pytest.raises(DataError, match="no subject in common"):
        align(a, table([[1, 1]], subjects=["pilot"]))
    with pytest.raises(DataError, match="needed the same: name all of them with --values"):
        align(a, table([[1, 1, 1]], subjects=["cook"], values=("man", "woman", "other")))
