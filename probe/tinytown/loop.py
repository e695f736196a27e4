"""The training loop of every model of the recipe: seeded by step, resumable, with optional EMA."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
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
    ema: float = 0.0
    """Decay of the exponential moving average of the weights; 0 keeps the last weights."""
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

    def run(self, *, progress: Progress | None = None) -> list[float]:
        """Train, set the (averaged) weights of the model, and return the losses."""
        schedule, parameters = self.schedule, list(self.model.parameters())
        optimizer = torch.optim.AdamW(
            parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        average = EMAModel(parameters, decay=schedule.ema)
        checkpoint = self.folder / f"{self.name}.checkpoint.pt"
        if checkpoint.exists():
            state = torch.load(checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            average.load_state_dict(state["average"])
            self.losses = state["losses"]
        self.model.train()
        for step in range(len(self.losses), schedule.n_steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss_of_step(step)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            average.step(parameters)
            self.losses.append(loss.item())
            if (step + 1) % self.checkpoint_every == 0 or step + 1 == schedule.n_steps:
                state = {
                    "model": self.model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.state_dict(),
                    "losses": self.losses,
                }
                with atomic(checkpoint) as path:
                    torch.save(state, path)
            if progress is not None:
                progress(step + 1, schedule.n_steps)
        if schedule.ema:
            average.copy_to(parameters)
        self.model.eval()
        return self.losses


def rng_of(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)
