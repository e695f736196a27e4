"""Arrows of shares: every job at its place, whatever the number of jobs."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from figures import bias_scores, fairness
from figures.style import HIGHLIGHT

LONG = "transportation, storage, and distribution manager"


def jobs(n: int) -> pd.DataFrame:
    """Shares of n jobs, a third of them never seen; the first moves away from even."""
    base = np.linspace(0.45, 1.0, n)
    rows = [
        {"side": side, "split": "test" if i % 3 == 1 else "train", "n": 16, "target": 0.5}
        | {"subject": f"{LONG if i % 5 == 1 else 'job'} {i}", "share": share}
        | {"low": max(0.0, share - 0.1), "high": min(1.0, share + 0.1)}
        for i in range(n)
        for side, share in (("base", base[i]), ("moesd", 0.3 if i == 0 else 0.5))
    ]
    return pd.DataFrame(rows)


def draw(shares: pd.DataFrame, **options):
    return fairness.subject_shares(shares, value="woman", other="man", chance=0.1, **options)


def names_of(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_each_split_has_a_panel_with_its_jobs_in_the_order_of_their_shares():
    trained, new = draw(jobs(12)).axes
    assert names_of(trained)[0] == "job 0"
    assert len(names_of(trained) + names_of(new)) == 12
    assert "8 occupations trained on" in trained.get_title(loc="right")
    assert "4 occupations never seen" in new.get_title(loc="right")
    ends = [label.get_text() for label in new.get_xticklabels()]
    assert ends == ["all men", "even", "all women"]


def test_the_title_and_the_colour_state_what_was_measured():
    shares = jobs(12)
    figure = draw(shares)
    off = 100 * (shares.set_index("side")["share"] - 0.5).abs().groupby("side").mean()
    title = figure.get_suptitle().replace("\n", " ")
    assert f"{off['base']:.0f} points before" in title
    assert f"{off['moesd']:.0f} after" in title
    worse = [
        label.get_text()
        for axes in figure.axes
        for label in axes.get_yticklabels()
        if to_rgb(label.get_color()) == to_rgb(HIGHLIGHT)
    ]
    assert worse == ["job 0"]


def test_twelve_of_many_jobs_are_spread_over_their_shares_and_the_title_is_of_all():
    figure = draw(jobs(40), n_shown=12)
    assert [len(names_of(axes)) for axes in figure.axes] == [6, 6]
    assert figure.get_suptitle().replace("\n", " ") == draw(jobs(40)).get_suptitle().replace(
        "\n", " "
    )


def scores(n: int) -> pd.DataFrame:
    """Bias scores of as many jobs, and those of objects near 0."""
    at = np.linspace(-0.4, 0.4, n + 1)[1:]
    jobs = {"subject": [f"{LONG} {i}" for i in range(n)], "group": "neutral"}
    objects = {"subject": ["an apple", "a chair"], "group": "object"}
    columns = ["bias_score", "bias_score_corrected"]
    tables = (
        pd.DataFrame(of).assign(**dict.fromkeys(columns, values))
        for of, values in ((jobs, at), (objects, [-0.05, 0.05]))
    )
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    "n", [2, 40, *(pytest.param(n, marks=pytest.mark.slow) for n in (12, 150))]
)
@pytest.mark.parametrize("kind", ["shares", "wide", "shift"])
def test_nothing_is_cropped_and_no_name_covers_another(n, kind):
    figure = {
        "shares": lambda: draw(jobs(n)),
        "wide": lambda: draw(jobs(n), n_shown=12),
        "shift": lambda: bias_scores.bias_score_shift(scores(n)),
    }[kind]()
    assert figure.get_figheight() < 9.5  # a page
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        names = [label.get_window_extent() for label in axes.get_yticklabels()]
        low, high = axes.get_xlim()
        ticks = [of for of in axes.get_xticklabels() if low <= of.get_position()[0] <= high]
        others = [*ticks, axes.xaxis.label, axes._right_title, figure._suptitle]
        for box in [*names, *(text.get_window_extent() for text in others if text.get_text())]:
            assert box.x0 >= -1
            assert box.x1 <= figure.bbox.width + 1
        names.sort(key=lambda box: box.y0)
        assert all(low.y1 <= high.y0 + 2 for low, high in pairwise(names))
        assert axes.get_window_extent().width > 0.35 * figure.bbox.width / (1 + (kind == "wide"))
