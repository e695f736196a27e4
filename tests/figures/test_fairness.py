from __future__ import annotations

import numpy as np

from figures import fairness


def women(tables):
    shares = tables["shares"]
    return shares[shares["value"] == "woman"]


def labour(tables):
    return tables["subjects"].set_index("subject")["share_women"].to_dict()


def draw(tables):
    options = {"labour_shares": labour(tables), "value": "woman", "target": 0.5}
    return fairness.subject_shares(women(tables), **options)


def test_subjects_are_sorted_by_labour_share_and_those_never_seen_marked(tables):
    axes = draw(tables).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    shares = [labour(tables)[name.removesuffix(" *")] for name in names]
    assert shares == sorted(shares)
    assert sum(name.endswith(" *") for name in names) == 12
    assert "nurse *" in names
    assert "mechanic" in names


def test_both_sides_stand_at_their_shares(tables):
    table = women(tables)
    axes = draw(tables).axes[0]
    for bars, side in zip(axes.containers, ("base", "moesd"), strict=True):
        drawn = np.asarray(bars.lines[0].get_xdata(), dtype=float)
        np.testing.assert_allclose(drawn, table.loc[table["side"] == side, "share"])
