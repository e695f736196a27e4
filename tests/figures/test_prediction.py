import pandas as pd
import pytest

from figures.prediction import denoiser_shares


@pytest.mark.parametrize(
    ("values", "what"),
    [(["female"], "women"), (["young"], "young"), (["young", "old"], "each value")],
)
def test_the_figure_of_estimated_shares_says_whose_they_are(tables, values, what):
    table = pd.concat([tables["mixture"].assign(value=value) for value in values])
    figure = denoiser_shares(table)
    [axes] = figure.axes
    assert axes.get_ylabel() == f"share of {what} in the images"
    assert sum(len(of.get_offsets()) for of in axes.collections[1::2]) == len(table)
    assert f"for {table['subject'].nunique()} occupations" in figure._suptitle.get_text()
