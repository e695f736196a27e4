import numpy as np

from figures import challenge


def test_every_category_of_the_set_that_least_was_chosen_on_has_its_two_points(tables):
    table = tables["categories"]
    figure = challenge.challenge_categories(table)
    (axes,) = figure.axes
    shown = table[(table["measure"] == "class") & (table["set"] == "blind")]
    drawn = np.concatenate(
        [np.asarray(dots.get_offsets())[:, 0] for dots in axes.collections[1::2]]
    )
    np.testing.assert_allclose(np.sort(drawn), np.sort(shown["value"]))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["names (120)", "all (120)"]  # from below
    title = figure.get_suptitle().replace("\n", " ").replace("\xa0", " ")
    assert title.endswith("(blind): trained gate 90 %, closed form 75 %")


def test_the_area_under_the_curve_is_written(tables):
    figure = challenge.reliability_and_roc(tables["reliability"], tables["roc"])
    assert figure.get_suptitle().endswith("0.750")
    np.testing.assert_allclose(
        np.asarray(figure.axes[0].collections[1].get_offsets()),
        tables["reliability"][["probability", "right"]],
    )
