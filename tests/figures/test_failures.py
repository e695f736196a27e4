"""The grid of failures: a row each, its pairs beside each other, and rows without any."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from figures.failures import failure_grid
from figures.text.terms import FAILURES
from probe.run.evaluation.failure_examples import COLUMNS

FOUND = {name: {"value": 0.1, "low": 0.0, "high": 0.2, "n": 40} for name in FAILURES}
FOUND["overfit"] = {"value": -0.01, "low": -0.03, "high": 0.02}


def rows(*failures):
    told = {"kind": "neutral", "subject": "nurse", "split": "train", "seed": 1, "n": 50}
    told |= {"prompt": "a photo of a nurse", "file_name": "nurse/neutral-00000.png"}
    told |= {"seen_base": "woman", "seen_moesd": "man", "clip_base": 27.0, "clip_moesd": 25.5}
    told |= {"share_base": 0.98, "share_moesd": 0.04}
    return pd.DataFrame([told | {"failure": name} for name in failures], columns=list(COLUMNS))


def grid(*failures):
    pictures = [np.full((8, 8, 3), at, dtype=np.uint8) for at in range(2 * len(failures))]
    pairs = pictures[: len(failures)], pictures[len(failures) :]
    return failure_grid(rows(*failures), pairs=pairs, found=FOUND, value="woman")


def written(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_failure_that_occurred_has_a_row_with_its_figure():
    said = written(grid("gate_missed", "explicit_changed"))
    for name, (title, meaning) in FAILURES.items():
        assert (meaning in said) == (name != "overfit")
        rate = f"{title}: 10.0\N{NO-BREAK SPACE}% [0.0, 20.0], n = 40"
        assert (rate in said) == (name != "overfit")


def test_a_run_without_failures_says_so_in_the_title():
    figure = failure_grid(
        rows(), pairs=((), ()), found={"overfit": FOUND["overfit"]}, value="woman"
    )
    assert figure.get_suptitle() == "0 of 1 kinds of failure occurred"
    assert not figure.axes[0].texts


def test_base_stands_beside_corrected_and_the_caption_tells_what_went_wrong():
    figure = grid("gate_missed", "gate_missed", "non_person_changed", "explicit_changed")
    images = figure.axes[0].images
    shown = [int(image.get_array()[0, 0, 0]) for image in images]
    assert shown == [0, 4, 1, 5, 3, 7, 2, 6]  # rows in the order of the failures
    left, right = images[0].get_extent(), images[1].get_extent()
    assert left[1] < right[0]
    assert left[2:] == right[2:]
    said = written(figure)
    assert "a photo of a nurse\nwoman: 49 → 2 of 50" in said
    assert "a photo of a nurse\nCLIP score 27.0 → 25.5" in said
    assert "a photo of a nurse\nseen: woman → man" in said


@pytest.mark.parametrize("failures", [(), ("gate_missed",) * 3 + ("overfit",) * 3])
def test_nothing_that_is_written_covers_anything_else(failures):
    table = rows(*failures).assign(prompt="a portrait photo of a transportation inspector " * 3)
    pictures = [np.zeros((8, 8, 3), dtype=np.uint8)] * len(failures)
    figure = failure_grid(table, pairs=(pictures, pictures), found=FOUND, value="woman")
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    boxes = [of.get_window_extent(renderer) for of in (*axes.texts, *axes.images)]
    inside = figure.bbox.padded(0.5)
    for at, box in enumerate(boxes):
        assert inside.containsx(box.x0)
        assert inside.containsx(box.x1)
        assert inside.containsy(box.y0)
        assert inside.containsy(box.y1)
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in boxes[:at])
