import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from figures.marks import draw_ends, name_points
from figures.style import COLUMN, StyledFigure, styled

AT = {"nurse": (0.5, 0.5), "cook": (0.5, 0.54), "guard": (0.52, 0.46)}


@styled
def named(points):
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="y")
    name_points(axes, points)
    return figure


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30))
def test_names_never_cover_each_other(seed, n):
    rng = np.random.default_rng(seed)
    points = [(*rng.random(2), "an occupation"[: 3 + i % 11]) for i in range(n)]
    figure = named(points)
    axes = figure.axes[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_no_name_stands_nearer_to_another_point_than_to_its_own():
    figure = named([(*at, name) for name, at in AT.items()])
    axes = figure.axes[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    dots = {name: axes.transData.transform(at) for name, at in AT.items()}
    for text in axes.texts:
        box = text.get_window_extent(renderer)
        apart = {
            name: np.hypot(max(box.x0 - x, x - box.x1, 0.0), max(box.y0 - y, y - box.y1, 0.0))
            for name, (x, y) in dots.items()
        }
        assert min(apart, key=apart.get) == text.get_text()
    assert axes.texts


def test_what_is_moved_apart_stays_where_it_is_in_the_data_and_widens_no_axes():
    figure = StyledFigure(figsize=(3, 2), dpi=72)
    axes = figure.subplots()
    rows = pd.DataFrame({"value": [0.2, 0.6], "low": [0.1, 0.4], "high": [0.3, 0.9]})
    for shift in (0.0, 6.0):
        draw_ends(axes, [1.0, 3.0], rows, shift=shift, color="black", label=f"{shift:g}")
    np.testing.assert_allclose(axes.dataLim.extents, [1.0, 0.1, 3.0, 0.9])
    plain, moved = axes.lines
    np.testing.assert_array_equal(plain.get_xydata(), moved.get_xydata())
    FigureCanvasAgg(figure).draw()
    apart = moved.get_transform().transform([1, 0.2]) - plain.get_transform().transform([1, 0.2])
    np.testing.assert_allclose(apart, [6.0, 0.0], atol=1e-9)
