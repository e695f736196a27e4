"""What a training would cost, from a model's configuration files alone."""

from probe.moesd.plan.plan import TrainingPlan, plan_training

__all__ = ["TrainingPlan", "plan_training"]
