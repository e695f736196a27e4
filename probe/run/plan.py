"""What training a model would cost, asked before there is a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probe.moesd.config import TrainConfig

if TYPE_CHECKING:
    from probe.moesd.plan import TrainingPlan


def plan(model: str, *, resolution: int | None = None, **settings: Any) -> TrainingPlan:
    """Tell what training a model costs, from its configuration files alone.

    Parameters
    ----------
    model : str
        ``"tinytown"``, a folder, or a hub id.
    resolution : int, optional
        Pixels of a side; the model's own if not given.
    **settings
        Of `TrainConfig`.

    Raises
    ------
    ModelError
        If the model is unknown, or has no U-Net or no text encoder.
    ValueError
        If a setting is not allowed.
    """
    from probe.moesd.plan import plan_training

    return plan_training(model, TrainConfig(**settings), resolution=resolution)
