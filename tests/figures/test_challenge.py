import numpy as np

from figures import challenge


def test_every_category_has_its_two_points_and_its_number_of_prompts(tables):
    table = tables["categories"]
    panels = challenge.challenge_categories(table).axes
    shown = table[table["measure"] == "class"]
    assert [axes.get_title(loc="left") for axes in panels] == ["seen in development", "blind"]
    for axes, of in zip(panels, ("seen", "blind"), strict=True):
        drawn = np.concatenate(
            [np.asarray(dots.get_offsets())[:, 0] for dots in axes.collections[1::2]]
        )
        np.testing.assert_allclose(np.sort(drawn), np.sort(shown["value"][shown["set"] == of]))
        assert [text.get_text() for text in axes.texts] == ["120", "120"]
    labels = [label.get_text() for label in panels[0].get_yticklabels()]
    assert labels == ["names", "all hard prompts"]  # from below


def test_the_area_under_the_curve_is_written(tables):
    figure = challenge.reliability_and_roc(tables["reliability"], tables["roc"])
    assert figure.get_suptitle().endswith("0.750")
    np.testing.assert_allclose(
        np.asarray(figure.axes[0].collections[1].get_offsets()),
        tables["reliability"][["probability", "right"]],
    )
