"""What a training will cost, told from a model's configuration alone: no weights, no pictures."""

from probe.moesd.plan.plan import TrainingPlan, plan_training

__all__ = ["TrainingPlan", "plan_training"]
