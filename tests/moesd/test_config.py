"""Training settings: bounds, and combinations that leave nothing to train."""

import pytest

from probe.moesd.config import TrainConfig
from probe.run.config import Config


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("side", "left"),
        ("n_experts", 4),
        ("width", 0),
        ("n_examples", 1501),
        ("gate_reads", "palms"),
        ("false_alarm", 1.5),
    ],
)
def test_bad_settings_are_refused_by_name(option, value):
    with pytest.raises(ValueError, match=option):
        TrainConfig(**{option: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "counterfactual", "token_place": "start"}, "token_place to 'subject'"),
        ({"objective": "both", "side": "unet", "token_place": "nowhere"}, "choose 'diffusion'"),
        ({"side": "unet", "objective": "latent"}, "needs no image model"),
        ({"side": "unet"}, "needs no image model"),
        ({"encoders": "all", "objective": "latent"}, "set encoders to 'one'"),
    ],
)
def test_combinations_that_leave_nothing_to_train_or_validate_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_an_objective_without_its_images_says_what_to_give(town):
    with pytest.raises(ValueError, match="examples"):
        town.train(config=TrainConfig(objective="both"))


def test_a_recipe_sets_what_is_not_given_beside_it_and_another_one_sets_it_back():
    run = Config("m").with_settings("train", {"recipe": "paper", "diffusion_steps": 7})
    train = run.train
    assert (train.side, train.objective, train.token_place) == ("unet", "noise", "subject")
    assert train.recipe_line == "paper with diffusion_steps = 7"
    back = run.with_settings("train", {"recipe": "recommended"}).train
    assert back == TrainConfig()
    assert TrainConfig().recipe_line == "recommended"
    with pytest.raises(ValueError, match="recipe"):
        run.with_settings("train", {"recipe": "other"})
