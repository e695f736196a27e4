import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from figures import gate

ROUTES = {"route_closed": "closed form", "route_trained": "trained"}
THRESHOLDS = {"neutral_below": 0.02, "explicit_above": 0.18, "route": "route_trained"}


def test_every_prompt_stands_at_its_bias_score(tables):
    axes = gate.gate_regions(tables["gate"], **THRESHOLDS).axes[0]
    drawn = np.concatenate([np.asarray(dots.get_offsets())[:, 0] for dots in axes.collections])
    np.testing.assert_allclose(np.sort(drawn), np.sort(tables["gate"]["bias_score"]))


def test_both_thresholds_are_drawn_on_both_sides(tables):
    axes = gate.gate_regions(tables["gate"], **THRESHOLDS).axes[0]
    at = sorted(line.get_xdata()[0] for line in axes.lines)
    assert at == pytest.approx([-0.18, -0.02, 0.02, 0.18])


def test_errors_and_only_errors_are_ringed(tables):
    table = tables["gate"]
    axes = gate.gate_regions(table, **THRESHOLDS).axes[0]
    rings = sum(
        len(dots.get_offsets()) for dots in axes.collections if len(dots.get_edgecolor()) > 0
    )
    assert rings == (table["route_truth"] != table["route_trained"]).sum() > 0


def test_the_confusion_counts_as_scikit_learn_does(tables):
    table = tables["gate"]
    for route in ROUTES:
        counts = gate.confusion(table, route)
        expected = confusion_matrix(table["route_truth"], table[route], labels=counts.index)
        np.testing.assert_array_equal(counts, expected)


def test_a_class_that_the_gate_never_gives_still_has_a_column():
    table = pd.DataFrame({"route_truth": ["neutral", "explicit"], "answer": ["neutral"] * 2})
    counts = gate.confusion(table, "answer")
    assert counts.columns.tolist() == ["explicit", "neutral"]
    assert counts.to_numpy().tolist() == [[0, 1], [0, 1]]


def test_the_figures_show_prompts_of_subjects_that_no_gate_was_trained_on(tables):
    table = tables["gate"]
    assert set(gate.never_seen(table)["split"]) == {"test"}
    seen = table[table["split"] == "train"]
    assert len(gate.never_seen(seen)) == len(seen) > 0
