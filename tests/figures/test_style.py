import io

import matplotlib
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from figures.style import (
    COLUMN,
    DARK,
    FREE_COLORS,
    GREY,
    HIGHLIGHT,
    MAN,
    OKABE_ITO,
    SIDE_COLORS,
    STYLES,
    WIDE,
    WOMAN,
    StyledFigure,
    colors_for,
    in_style,
    points,
    set_title,
    styled,
)


@styled
def one_line() -> StyledFigure:
    figure = StyledFigure(figsize=COLUMN, layout="constrained")
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def test_drawing_leaves_the_settings_of_matplotlib_and_pyplot_as_they_were():
    matplotlib.get_backend()  # settles the backend, which is not ours to choose
    before = dict(matplotlib.rcParams)
    one_line().savefig(io.BytesIO(), format="pdf")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_a_figure_looks_the_same_whatever_the_settings_are_where_it_is_saved():
    here, there = io.BytesIO(), io.BytesIO()
    one_line().savefig(here, format="png", metadata={"Software": None})
    with matplotlib.rc_context({"font.size": 30, "xtick.labelsize": 30, "savefig.dpi": 30}):
        one_line().savefig(there, format="png", metadata={"Software": None})
    assert here.getvalue() == there.getvalue()


def test_a_style_lasts_as_long_as_its_block_and_as_the_figures_built_in_it():
    plain, loud, after = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with in_style("talk"):
        figure = one_line()
        assert points(8) < 8
    figure.savefig(loud, format="png", dpi=100, metadata={"Software": None})
    for content in (plain, after):
        one_line().savefig(content, format="png", dpi=100, metadata={"Software": None})
    assert points(8) == 8
    assert plain.getvalue() == after.getvalue() != loud.getvalue()


def test_a_notebook_shows_a_figure_at_a_hundred_dots_an_inch():
    pytest.importorskip("IPython", reason="IPython comes with the test extra")
    from IPython.core.formatters import DisplayFormatter

    data, metadata = DisplayFormatter().format(one_line())
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"] == {"width": 340, "height": 270}


def test_known_names_keep_their_colour_and_others_get_distinct_ones():
    colors = colors_for(["old", "male", "young", "female", "middle-aged"])
    assert colors["male"] == OKABE_ITO["blue"]
    assert colors["female"] == OKABE_ITO["orange"]
    assert len(set(colors.values())) == len(colors)


def test_no_other_series_has_the_colours_of_woman_and_man():
    assert not {WOMAN, MAN} & {*FREE_COLORS, *SIDE_COLORS.values(), DARK, GREY, HIGHLIGHT}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("width", [COLUMN[0], WIDE])
@pytest.mark.parametrize("n_words", [1, 9, 30])
def test_a_title_of_any_length_stays_within_the_figure(width, n_words, style):
    @styled
    def titled() -> StyledFigure:
        figure = StyledFigure(figsize=(width, 3), layout="constrained")
        set_title(figure, " ".join(["managers"] * n_words))
        return figure

    with in_style(style):
        figure = titled()
    FigureCanvasAgg(figure).draw()
    box = figure._suptitle.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.width


@pytest.mark.parametrize("one", OKABE_ITO)
def test_no_two_colours_of_the_palette_are_equally_bright_and_alike_to_a_colour_blind_eye(one):
    # Red-green blindness leaves blue against yellow, and brightness: compare those two.
    def seen(name: str) -> tuple[float, float]:
        red, green, blue = to_rgb(OKABE_ITO[name])
        brightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        return brightness, blue - (red + green) / 2

    for other in set(OKABE_ITO) - {one}:
        distance = sum((a - b) ** 2 for a, b in zip(seen(one), seen(other), strict=True)) ** 0.5
        assert distance > 0.05, other
