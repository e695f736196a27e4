"""The training loop of every model of the recipe: seeded by step, resumable, with optional EMA."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.io.artifacts import atomic
from probe.io.progress import Progress


@dataclass(frozen=True)
class Schedule:
    """Training length and learning rate of one model."""

    n_steps: int
    batch_size: int
    learning_rate: float
    warmup: int = 50
    weight_decay: float = 0.01
    ema: float | None = None
    """Decay of the exponential moving average of the weights; None keeps the last weights."""

    horizon: int | None = None
    """Steps over which the rate falls; may exceed ``n_steps`` if the weights are averaged."""

    def rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to a fiftieth at the horizon."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, (self.horizon or self.n_steps) - self.warmup)
        return self.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


@dataclass
class Training:
    """A model in training; `run` resumes from the last checkpoint.

    ``loss_of_step(step)`` must draw its batch from ``step`` only, so that an interrupted training
    ends with the same weights.
    """

    name: str
    model: Any
    loss_of_step: Callable[[int], torch.Tensor]
    schedule: Schedule
    folder: Path
    checkpoint_every: int = 200
    losses: list[float] = field(default_factory=list)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / f"{self.name}.checkpoint.pt"

    def run(self, *, progress: Progress | None = None) -> list[float]:
        """Train, set the (averaged) weights of the model, and return the losses."""
        schedule = self.schedule
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        average = {name: w.detach().clone() for name, w in self.model.state_dict().items()}
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            average, self.losses = state["average"], state["losses"]
        self.model.train()
        for step in range(len(self.losses), schedule.n_steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss_of_step(step)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            self.losses.append(loss.item())
            self._update(average, step)
            if (step + 1) % self.checkpoint_every == 0 or step + 1 == schedule.n_steps:
                self._save(optimizer, average)
            if progress is not None:
                progress(step + 1, schedule.n_steps)
        if schedule.ema is not None:
            self.model.load_state_dict(average)
        self.model.eval()
        return self.losses

    def _update(self, average: dict[str, torch.Tensor], step: int) -> None:
        if self.schedule.ema is None:
            return
        decay = min(self.schedule.ema, (1 + step) / (10 + step))
        for name, weight in self.model.state_dict().items():
            if weight.is_floating_point():
                average[name].lerp_(weight, 1 - decay)
            else:
                average[name].copy_(weight)

    def _save(self, optimizer: torch.optim.Optimizer, average: dict[str, torch.Tensor]) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average,
            "losses": self.losses,
        }
        with atomic(self._checkpoint) as path:
            torch.save(state, path)


def rng_of(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)
