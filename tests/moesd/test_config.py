"""Training settings: bounds, and combinations that leave nothing to train."""

import pytest

from probe.moesd.config import ExpertConfig, LoopConfig, TrainConfig


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (ExpertConfig, "side", "left"),
        (ExpertConfig, "placement", "top"),
        (ExpertConfig, "style", "prefix"),
        (ExpertConfig, "n_experts", 0),
        (ExpertConfig, "width", 0),
        (LoopConfig, "precision", "int8"),
        (LoopConfig, "accumulate", 0),
        (LoopConfig, "ema", 1.0),
        (LoopConfig, "patience", -1),
        (TrainConfig, "objective", "hope"),
        (TrainConfig, "n_examples", 1501),
        (TrainConfig, "batch_size", 0),
        (TrainConfig, "gate_kind", "by ear"),
        (TrainConfig, "gate_reads", "palms"),
        (TrainConfig, "false_alarm", 1.5),
        (TrainConfig, "token_place", "middle"),
    ],
)
def test_bad_settings_are_refused_by_name(kind, option, value):
    with pytest.raises(ValueError, match=option):
        kind(**{option: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "counterfactual", "token_place": "start"}, "token_place to 'subject'"),
        ({"side": "unet", "token_place": "nowhere"}, "choose 'diffusion'"),
        ({"side": "unet", "objective": "latent"}, "needs no image model"),
        ({"side": "unet", "objective": "mixture"}, "'mixture'"),
        ({"patience": 2, "objective": "mixture"}, "'mixture' has no validation loss"),
    ],
)
def test_combinations_that_leave_nothing_to_train_or_validate_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("objective", "message"),
    [("both", "examples"), ("mixture", "needs `pipeline`"), ("counterfactual", "needs `pipeline`")],
)
def test_an_objective_without_its_image_model_says_what_to_give(town, objective, message):
    with pytest.raises(ValueError, match=message):
        town.train(config=TrainConfig(objective=objective))
