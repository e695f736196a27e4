"""The steps of one objective: optimizer, schedule, precision, average, and what is best so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from probe.io import distributed
from probe.moesd.config import TrainConfig
from probe.moesd.loop.checkpoint import State

Weights = dict[str, torch.Tensor]

N_CHECKS = 20
"""How often the held-out training prompts are looked at, if early stopping is asked for."""
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Objective(Protocol):
    """What is minimised; a context manager too, if it puts something into the image model.

    ``rng`` is the generator of its batches, ``skip()`` draws a batch from it that another process
    computes, and ``validate()`` is the loss on prompts that are not learnt from; each may be
    missing.
    """

    name: str
    pace: float
    """Learning rate in units of the configured one."""
    parameters: list[Any]

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""


class Steps:
    """The steps of one objective: optimizer, schedule, average, and what is best so far."""

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
        self._average = copy_weights(weights) if config.ema else {}
        self._best: Weights = {}
        self._best_loss, self._n_worse = float("inf"), 0

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or progress on held-out prompts has ended."""
        patience = self._config.patience
        return self.done >= self._n_steps or bool(patience and self._n_worse >= patience)

    def rng_state(self) -> torch.Tensor:
        """Where the objective's chance stands; empty if it has none."""
        rng = getattr(self.objective, "rng", None)
        return torch.empty(0, dtype=torch.uint8) if rng is None else rng.get_state()

    def compute(self) -> torch.Tensor:
        """Compute loss and gradient of one step; the weights stay.

        The batches of a step are shared out to the processes. Each draws all of them, so that
        chance takes the same course in one process and in many.
        """
        self._optimizer.zero_grad(set_to_none=True)
        n_batches = self._config.accumulate
        total = torch.zeros((), device=self._device)
        for batch in range(n_batches):
            if batch % distributed.world_size() != distributed.rank():
                self._skip()
                continue
            with self._precision():
                loss = self.objective.loss() / n_batches
            self._scaler.scale(loss).backward()
            total = total + loss.detach()
        return total if distributed.world_size() == 1 else self._together(total)

    def _skip(self) -> None:
        if (skip := getattr(self.objective, "skip", None)) is not None:
            skip()

    def _together(self, loss: torch.Tensor) -> torch.Tensor:
        """Add up loss and gradients of all processes; a weight that none has used keeps none."""
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
        """Move the weights, and look at held-out prompts when it is time."""
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self.objective.parameters, 1.0)
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._scaler.get_scale() >= scale:  # lower after a step that fp16 had no room for
            self._schedule.step()
        self.done += 1
        for name, average in self._average.items():
            average.lerp_(self._weights[name].detach(), 1 - self._config.ema)
        if self._config.patience and self.done % max(1, self._n_steps // N_CHECKS) == 0:
            self._check()

    def finish(self) -> None:
        """Put the weights that are kept into place: the best, the average, or the last."""
        load_weights(self._weights, self._best or self._average)

    def state(self, drawn_from: torch.Tensor, phase: int, start: Weights) -> State:
        """Describe where the training stands before the next update."""
        groups = {
            "start": start,
            "now": self._weights,
            "average": self._average,
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
        """Go on from a state."""
        load_weights(self._weights, state.group("now"))
        load_weights(self._average, state.group("average"))
        self._best = {
            name: value.to(self._weights[name].device)
            for name, value in state.group("best").items()
        }
        scalars = state.scalars
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
        for group, rate in zip(
            self._optimizer.param_groups, scalars["schedule"]["_last_lr"], strict=True
        ):
            group["lr"] = rate
        rng = getattr(self.objective, "rng", None)
        if rng is not None:
            rng.set_state(state.tensors["rng"])

    def _check(self) -> None:
        """Measure progress with the weights that would be kept."""
        now = copy_weights(self._weights)
        load_weights(self._weights, self._average)
        validate: Callable[[], float] = self.objective.validate  # type: ignore[attr-defined]
        loss = validate()
        if distributed.world_size() > 1:  # rounding may differ, and all must stop at the same check
            loss = float(distributed.total(torch.tensor(loss, device=self._device)))
        if loss < self._best_loss:
            self._best_loss, self._n_worse, self._best = loss, 0, copy_weights(self._weights)
        else:
            self._n_worse += 1
        load_weights(self._weights, now)

    def _precision(self) -> torch.autocast:
        name = self._config.precision
        return torch.autocast(self._device, dtype=_DTYPES.get(name), enabled=name in _DTYPES)


def copy_weights(weights: Mapping[str, torch.Tensor]) -> Weights:
    """Copy weights, so that training may go on."""
    return {name: weight.detach().clone() for name, weight in weights.items()}


@torch.no_grad()
def load_weights(weights: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Put values into the weights of the same names."""
    for name, value in values.items():
        weights[name].copy_(value)
