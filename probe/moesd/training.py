"""Train token and experts: the latent objective, then the diffusion objective, in one loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from probe.errors import DataError
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.examples import Examples
from probe.moesd.experts import Experts
from probe.moesd.gate import CLASSES, Gate, fit_gate, true_classes
from probe.moesd.mixture.objectives import TwinPredictions, TwinStates
from probe.moesd.mixture.twins import Twins
from probe.moesd.model import MoESD
from probe.moesd.objectives import DiffusionObjective, LatentObjective
from probe.moesd.token import SpecialToken
from probe.moesd.unet.experts import UNetExperts
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet

Progress = Callable[[int, int], None]
Matrix = npt.NDArray[np.float32]
Objective = LatentObjective | DiffusionObjective | TwinStates | TwinPredictions


def train_moesd(
    encoder: TextEncoder,
    prompts: PromptSet,
    vectors: Matrix,
    *,
    direction: BiasDirection,
    projection: CalibratedProjection,
    config: TrainConfig | None = None,
    examples: Path | None = None,
    pipeline: Any = None,
    twins: Twins | None = None,
    progress: Progress | None = None,
) -> MoESD:
    """Fit the gate, then train token and experts; the base model stays frozen.

    Parameters
    ----------
    prompts : PromptSet
        Held-out occupations among them are used for nothing.
    vectors : ndarray of shape (n_prompts, n_features)
        Their pooled states, L2-normalised.
    examples : Path, optional
        An imagefolder: ``metadata.jsonl`` with ``file_name``, ``prompt``, ``subject``,
        ``value``, and ``said`` where the prompt that a picture was made from is known.
        Needed by the diffusion objective, balanced by ``value`` within each subject.
    pipeline : StableDiffusionPipeline, optional
        The image model; needed by the diffusion objective and by ``twins``.
    twins : Twins, optional
        The words that say each value, for the objective ``twins``.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    ValueError
        If the objective needs pictures and a pipeline and they are not given.
    DataError
        If a class of the gate has no training prompt, or the loss is not finite.
    """
    config = config or TrainConfig()
    if config.needs_pictures and (examples is None or pipeline is None):
        raise ValueError(
            f"the objective {config.objective!r} needs `examples` and `pipeline`; give both, or "
            "choose objective 'latent'"
        )
    if config.needs_image_model and pipeline is None:
        raise ValueError(f"the objective {config.objective!r} needs `pipeline`; give one")
    torch.manual_seed(config.seed)
    gate = fit_gate(
        encoder, prompts, vectors, direction=direction, projection=projection, config=config
    )
    table = prompts.table
    subjects = tuple(dict.fromkeys(table["subject"]))
    moesd = MoESD(
        encoder=encoder,
        token=SpecialToken.start(encoder, subjects),
        gate=gate,
        experts=Experts(encoder.n_features, width=config.width, style=config.style).to(
            encoder.device
        ),
        unet_experts=_unet_experts(pipeline.unet, config) if config.has_unet else None,
    )
    moesd.experts.requires_grad_(config.has_text)
    is_training = ((table["split"] == "trained") & (table["group"] == "neutral")).to_numpy()
    truth = true_classes(prompts, gate.skew(vectors), neutral_below=gate.neutral_below)
    rows = np.flatnonzero(is_training & np.isin(truth, CLASSES[1:3]))
    skewed = table["prompt"].iloc[rows].tolist()
    if moesd.unet_experts is not None:
        moesd.unet_experts.set_levels(np.abs(gate.skew(vectors[rows])))
    n_latent = config.latent_steps if config.objective != "diffusion" else 0
    n_diffusion = config.diffusion_steps if config.needs_image_model else 0
    training = _Loop(config, n_steps=n_latent + n_diffusion, progress=progress)
    if config.objective == "twins":
        persons, words = table["prompt"][is_training].tolist(), twins or Twins()
        training.run(TwinStates(moesd, persons, words), n_latent)
        distilled = TwinPredictions(
            moesd,
            persons,
            words,
            pipeline,
            n_prompts=config.n_examples,
            batch_size=config.batch_size,
            seed=config.seed,
        )
        training.run(distilled, n_diffusion)
    elif n_latent:
        training.run(LatentObjective(moesd, skewed, vectors[rows]), n_latent)
    if examples is not None and config.needs_pictures:
        with DiffusionObjective(
            moesd,
            skewed,
            table["subject"].iloc[rows].tolist(),
            Examples.read(examples, limit=config.n_examples, seed=config.seed),
            pipeline,
            batch_size=config.batch_size,
            seed=config.seed,
        ) as objective:
            training.run(objective, n_diffusion)
    moesd.experts.eval().requires_grad_(False)
    if moesd.unet_experts is not None:
        moesd.unet_experts.eval().requires_grad_(False)
    moesd.token.vector.requires_grad_(False)
    return moesd


def _unet_experts(unet: Any, config: TrainConfig) -> UNetExperts:
    return UNetExperts.start(
        unet,
        width=config.unet_width,
        n_experts=config.n_experts,
        style=config.style,
        placement=config.placement,
    )


class _Loop:
    """The one loop: Adam with a cosine, clipped gradients, a stop at the first non-finite loss."""

    def __init__(self, config: TrainConfig, *, n_steps: int, progress: Progress | None) -> None:
        self._config, self._n_steps, self._progress = config, n_steps, progress
        self._done = 0

    def run(self, objective: Objective, n_steps: int) -> None:
        rate = objective.pace * self._config.learning_rate
        optimizer = torch.optim.AdamW(objective.parameters, lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        for _ in range(n_steps):
            optimizer.zero_grad(set_to_none=True)
            loss = objective.loss()
            if not torch.isfinite(loss):
                raise DataError(
                    f"the {objective.name} loss became {loss.item()} at step {self._done}; lower "
                    f"the learning rate (it is {self._config.learning_rate})"
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(objective.parameters, 1.0)
            optimizer.step()
            schedule.step()
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._n_steps)


__all__ = ["Gate", "MoESD", "TrainConfig", "train_moesd"]
