import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from figures.images import image_pairs


def stack(n_subjects=2, n_seeds=3, seed=0, size=(8, 8)):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n_subjects, n_seeds, *size, 3), dtype=np.uint8)


def labels(*names):
    return np.array([names, names])


def test_every_image_is_drawn_base_above_corrected_and_seeds_in_columns():
    sides, seen = (stack(seed=1), stack(seed=2)), labels("man", "man", "man")
    axes = image_pairs(sides, (seen, seen), subjects=["nurse", "mover"]).axes[0]
    for i in range(2):
        for row, side in enumerate(sides):
            for j in range(3):
                drawn = axes.images[i * 6 + row * 3 + j]
                np.testing.assert_array_equal(drawn.get_array(), side[i, j])
    upper, lower = axes.images[0].get_extent(), axes.images[3].get_extent()
    assert upper[:2] == lower[:2]
    assert upper[2] < lower[3]  # y runs downwards


def test_a_wide_image_keeps_its_proportions():
    sides, seen = (stack(size=(8, 16)), stack(size=(8, 16))), labels("man", "man", "man")
    figure = image_pairs(sides, (seen, seen), subjects=["a", "b"])
    box = figure.axes[0].images[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.width / box.height == pytest.approx(2.0, rel=0.01)


def test_the_letter_and_the_line_in_an_image_show_the_perceived_value():
    seen = labels("woman", "man", "man")
    figure = image_pairs((stack(), stack()), (seen, seen), subjects=["a", "b"])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["m: perceived man", "w: perceived woman"]
    letters = [text.get_text() for text in figure.axes[0].texts if text.get_text() in "wm"]
    assert letters == 4 * list("wmm")
    colors = [patch.get_facecolor() for patch in figure.axes[0].patches]
    assert len(colors) == 12
    assert colors[0] != colors[1] == colors[2]


def test_values_that_begin_alike_get_as_many_letters_as_distinguish_them():
    seen = labels("middle-aged", "mid", "old")
    figure = image_pairs((stack(), stack()), (seen, seen), subjects=["a", "b"])
    names = [text.get_text().split(":")[0] for text in figure.legends[0].get_texts()]
    assert names == ["mid", "midd", "old"]
