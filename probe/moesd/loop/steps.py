"""The steps of one objective: optimizer, schedule, precision, moving average, early stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from probe.io import distributed
from probe.moesd.config import TrainConfig
from probe.moesd.loop.checkpoint import State

Weights = dict[str, torch.Tensor]

N_CHECKS = 20
"""Number of validations per objective with early stopping."""
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Objective(Protocol):
    """What is minimised; also a context manager if it changes the image model.

    Optional attributes: ``rng``, the generator of its batches; ``skip()``, which draws a batch that
    another process computes; ``validate()``, the loss on validation prompts.
    """

    name: str
    pace: float
    """Learning rate in units of the configured one."""
    parameters: list[Any]

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""


class Steps:
    """The steps of one objective."""

    def __init__(
        self, objective: Objective, weights: Weights, config: TrainConfig, *, n_steps: int
    ) -> None:
        self.objective, self.done = objective, 0
        self._weights, self._config, self._n_steps = weights, config, n_steps
        rate = objective.pace * config.learning_rate
        self._optimizer = torch.optim.AdamW(objective.parameters, lr=rate)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, n_steps)
        self._device = objective.parameters[0].device.type
        self._scaler = torch.amp.GradScaler(self._device, enabled=config.precision == "fp16")
        self._average = _moving_average(weights, config.ema) if config.ema else None
        self._best: Weights = {}
        self._best_loss, self._n_worse = float("inf"), 0

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or the validation loss has stopped falling."""
        patience = self._config.patience
        return self.done >= self._n_steps or bool(patience and self._n_worse >= patience)

    def rng_state(self) -> torch.Tensor:
        """Return the state of the objective's generator; empty if it has none."""
        rng = getattr(self.objective, "rng", None)
        return torch.empty(0, dtype=torch.uint8) if rng is None else rng.get_state()

    def compute(self) -> torch.Tensor:
        """Compute loss and gradient of one step without changing the weights.

        The batches of a step are divided among the processes. Each process draws all of them, so
        that the random numbers do not depend on the number of processes.
        """
        self._optimizer.zero_grad(set_to_none=True)
        n_batches = self._config.accumulate
        total = torch.zeros((), device=self._device)
        for batch in range(n_batches):
            if batch % distributed.world_size() != distributed.rank():
                if (skip := getattr(self.objective, "skip", None)) is not None:
                    skip()
                continue
            name = self._config.precision
            with torch.autocast(self._device, dtype=_DTYPES.get(name), enabled=name in _DTYPES):
                loss = self.objective.loss() / n_batches
            self._scaler.scale(loss).backward()
            total = total + loss.detach()
        return total if distributed.world_size() == 1 else self._sum_over_processes(total)

    def _sum_over_processes(self, loss: torch.Tensor) -> torch.Tensor:
        """Sum loss and gradients; a weight that no process uses keeps no gradient."""
        weights = self.objective.parameters
        is_used = torch.tensor([w.grad is not None for w in weights]).to(loss)
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        flat = torch.cat([loss[None], is_used, *(gradient.flatten() for gradient in gradients)])
        loss, is_used, flat = distributed.total(flat).split(
            [1, len(weights), len(flat) - 1 - len(weights)]
        )
        for weight, used, gradient in zip(
            weights, is_used, flat.split([w.numel() for w in weights]), strict=True
        ):
            weight.grad = gradient.view_as(weight).clone() if used else None
        return loss[0]

    def update(self) -> None:
        """Update the weights, and validate when it is due."""
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self.objective.parameters, 1.0)
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._scaler.get_scale() >= scale:  # it falls after a step that overflowed in fp16
            self._schedule.step()
        self.done += 1
        if self._average is not None:
            self._average.step(self._weights.values())
        if self._config.patience and self.done % max(1, self._n_steps // N_CHECKS) == 0:
            self._validate()

    def finish(self) -> None:
        """Set the final weights: the best, the average, or the last."""
        if self._best:
            load_weights(self._weights, self._best)
        elif self._average is not None:
            self._average.copy_to(self._weights.values())

    def state(self, drawn_from: torch.Tensor, phase: int, start: Weights) -> State:
        """Return the state before the next update."""
        shadows = [] if self._average is None else self._average.shadow_params
        groups = {
            "start": start,
            "now": self._weights,
            "average": dict(zip(self._weights, shadows, strict=False)),
            "best": self._best,
            "adam": {
                f"{number}.{name}": value
                for number, of in self._optimizer.state_dict()["state"].items()
                for name, value in of.items()
            },
        }
        scalars = {
            "phase": phase,
            "done": self.done,
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "best_loss": self._best_loss,
            "n_worse": self._n_worse,
        }
        tensors = {
            f"{group}/{name}": tensor.detach().cpu()
            for group, of in groups.items()
            for name, tensor in of.items()
        }
        return State(scalars, {**tensors, "rng": drawn_from})

    def load(self, state: State) -> None:
        """Resume from a state."""
        scalars, average = state.scalars, state.group("average")
        load_weights(self._weights, state.group("now"))
        if self._average is not None:
            self._average.optimization_step = scalars["done"]
            self._average.shadow_params = [
                average[name].to(weight.device) for name, weight in self._weights.items()
            ]
        self._best = {
            name: value.to(self._weights[name].device)
            for name, value in state.group("best").items()
        }
        self.done, self._n_worse = scalars["done"], scalars["n_worse"]
        self._best_loss = scalars["best_loss"]
        self._schedule.load_state_dict(scalars["schedule"])
        self._scaler.load_state_dict(scalars["scaler"])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in state.group("adam").items():
            number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
        optimizer = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**optimizer, "state": moments})
        rates = scalars["schedule"]["_last_lr"]
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        if (rng := getattr(self.objective, "rng", None)) is not None:
            rng.set_state(state.tensors["rng"])

    def _validate(self) -> None:
        """Compute the validation loss with the weights that would be returned."""
        weights = list(self._weights.values())
        if self._average is not None:
            self._average.store(weights)
            self._average.copy_to(weights)
        loss = float(self.objective.validate())  # type: ignore[attr-defined]
        if distributed.world_size() > 1:  # rounding may differ, and all must stop together
            loss = float(distributed.total(torch.tensor(loss, device=self._device)))
        if loss < self._best_loss:
            self._best_loss, self._n_worse, self._best = loss, 0, copy_weights(self._weights)
        else:
            self._n_worse += 1
        if self._average is not None:
            self._average.restore(weights)


def copy_weights(weights: Mapping[str, torch.Tensor]) -> Weights:
    """Copy weights."""
    return {name: weight.detach().clone() for name, weight in weights.items()}


@torch.no_grad()
def load_weights(weights: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Copy values into the weights of the same names."""
    for name, value in values.items():
        weights[name].copy_(value)


def _moving_average(weights: Weights, decay: float) -> Any:
    # Imported here: diffusers takes seconds, and the latent objective does without it.
    from diffusers.training_utils import EMAModel

    return EMAModel(weights.values(), decay=decay)
