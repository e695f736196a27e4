"""The training loop for one objective after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Protocol

import torch

from probe.errors import DataError, MemoryLimitError
from probe.images.memory import is_memory_error
from probe.io import distributed
from probe.io.progress import Progress
from probe.moesd.checkpoint import Checkpoint, State
from probe.moesd.config import TrainConfig

Weights = dict[str, torch.Tensor]


class Objective(Protocol):
    """What is minimised; also a context manager if it changes the image model.

    An objective that draws batches has ``rng``, their generator, and ``skip()``, which draws a
    batch that another process computes.
    """

    name: str
    pace: float
    """Learning rate in units of the configured one."""
    parameters: list[Any]

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""


class Loop:
    """AdamW with a cosine schedule and clipped gradients, for one objective after another.

    The stored state always has a finite loss and contains everything that the next step depends on:
    an interrupted and resumed training ends with the same weights, bit for bit.

    Parameters
    ----------
    weights : mapping of str to Tensor
        All weights that any objective trains.
    n_steps : int
        Steps of all objectives, which ``progress`` reports.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        config: TrainConfig,
        *,
        n_steps: int,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._weights, self._config, self._n_steps = dict(weights), config, n_steps
        self._checkpoint, self._progress = checkpoint, progress
        self._done = self._phase = 0
        distributed.check_batches(config.accumulate, distributed.world_size())
        self._resumed = checkpoint.read() if checkpoint is not None else None
        distributed.barrier()  # all must have read before the first process writes again
        if not distributed.is_first():
            self._checkpoint = self._progress = None

    def run(self, make: Callable[[], Objective], n_steps: int) -> None:
        """Construct one objective, which reads the present weights, and minimise it.

        Raises
        ------
        DataError
            If a loss is not finite; the last finite state stays on disk.
        MemoryLimitError
            If memory does not suffice; the message names the settings to lower.
        """
        phase, self._phase = self._phase, self._phase + 1
        resumed, end = self._resumed, self._done + n_steps
        if resumed is not None and phase > resumed.scalars["phase"]:
            resumed = None
        if resumed is None or phase == resumed.scalars["phase"]:
            if resumed is not None:
                _load_weights(self._weights, resumed.group("start"))
            start = {name: weight.detach().clone() for name, weight in self._weights.items()}
            objective: Objective | None = None
            try:
                objective = make()
                context: Any = objective if hasattr(objective, "__enter__") else nullcontext()
                with context:
                    steps = _Steps(objective, self._weights, self._config, n_steps=n_steps)
                    if resumed is not None:
                        steps.load(resumed)
                    self._done += steps.done
                    self._minimise(steps, phase, start)
            except RuntimeError as error:
                if not is_memory_error(error):
                    raise
                raise MemoryLimitError(_advice(objective, self._config)) from error
        self._done = end
        self._report()

    def _minimise(self, steps: _Steps, phase: int, start: Weights) -> None:
        while not steps.is_over:
            drawn_from = steps.rng_state()
            loss = steps.compute()
            if not torch.isfinite(loss):
                raise DataError(self._not_finite(steps, loss))
            if self._checkpoint is not None and self._checkpoint.is_due():
                self._checkpoint.write(steps.state(drawn_from, phase, start))
            steps.update()
            self._done += 1
            if not steps.is_over:
                self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._n_steps)

    def _not_finite(self, steps: _Steps, loss: torch.Tensor) -> str:
        stored = ""
        if self._checkpoint is not None and self._checkpoint.path.exists():
            stored = f"; the last finite state is in {self._checkpoint.path}, which must be removed"
        return (
            f"the {steps.objective.name} loss became {loss.item()} at step {self._done}; lower the "
            f"learning rate (it is {self._config.learning_rate}){stored}"
        )


def _advice(objective: Objective | None, config: TrainConfig) -> str:
    """Name the settings that lower the memory of what was being done."""
    if objective is None:
        what, way = "to prepare the training", f"lower n_examples, now {config.n_examples}"
    elif not hasattr(objective, "rng"):
        what = f"for {objective.name!r}, which uses all prompts in each step"
        way = f"set n_occupations, now {config.n_occupations} (0: all)"
    else:
        what = f"for batch_size = {config.batch_size}"
        way = f"lower it (and raise accumulate, now {config.accumulate})"
        way += "" if config.checkpointing else ", set checkpointing = true"
    return f"memory does not suffice {what}; {way}, or use a device with more (--device cpu)"


def _arithmetic(device_type: str, precision: str) -> torch.autocast:
    """Compute a block in ``fp32``, or in ``bf16`` or ``fp16`` where torch holds that to be safe."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device_type, dtype=dtype, enabled=dtype is not None)


class _Steps:
    """The steps of one objective: optimizer, schedule and precision."""

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

    @property
    def is_over(self) -> bool:
        return self.done >= self._n_steps

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
            with _arithmetic(self._device, self._config.precision):
                loss = self.objective.loss() / n_batches
            self._scaler.scale(loss).backward()
            total = total + loss.detach()
        return total if distributed.world_size() == 1 else self._sum_over_processes(total)

    def update(self) -> None:
        """Update the weights."""
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self.objective.parameters, 1.0)
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._scaler.get_scale() >= scale:  # it falls after a step that overflowed in fp16
            self._schedule.step()
        self.done += 1

    def state(self, drawn_from: torch.Tensor, phase: int, start: Weights) -> State:
        """Return the state before the next update."""
        groups = {
            "start": start,
            "now": self._weights,
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
        }
        tensors = {
            f"{group}/{name}": tensor.detach().cpu()
            for group, of in groups.items()
            for name, tensor in of.items()
        }
        return State(scalars, {**tensors, "rng": drawn_from})

    def load(self, state: State) -> None:
        """Resume from a state."""
        scalars = state.scalars
        _load_weights(self._weights, state.group("now"))
        self.done = scalars["done"]
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


@torch.no_grad()
def _load_weights(weights: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    for name, value in values.items():
        weights[name].copy_(value)
