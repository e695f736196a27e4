"""The diffusion objective: denoise balanced images under corrected neutral prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from probe.errors import DataError
from probe.images.denoising import encode_images, prediction_target
from probe.moesd.correction import Correction
from probe.moesd.examples import Examples
from probe.moesd.objectives.latent import split_rows, trainable
from probe.moesd.unet_routing import RoutedUNet

HIGH_NOISE = 0.4
"""Only time steps above this share of the schedule are trained on: gender is decided early."""
_N_VALIDATION_BATCHES = 4


class _Batch(NamedTuple):
    """One batch of sets; the images of a set share prompt, time and noise."""

    prompts: torch.Tensor
    """Shape (n_sets,): row of the prompt."""
    rows: torch.Tensor
    """Shape (n_sets, n_values): rows of the images."""
    times: torch.Tensor
    """Shape (n_sets, 1)."""
    noise: torch.Tensor
    """Shape (n_sets, 1, channels, height, width)."""


class DiffusionObjective:
    """Denoise balanced images under the corrected neutral prompt; the image model is frozen.

    The images of a step come in sets with one image of each value, which share subject, noise and
    time, so that the experts see no other difference than the value. They learn the prediction
    under which every value is equally likely.

    The target of an image is its noise (or velocity), as in the paper. If the examples record the
    prompt they were made from, the frozen model's prediction under that prompt replaces it: its
    expectation is the same, with less variance.

    The objective is a context manager: experts are in the U-Net until it is exited.

    Parameters
    ----------
    correction : Correction
    prompts : sequence of str
        Neutral prompts of training occupations, in any template.
    subjects : sequence of str
        The subject of each.
    examples : Examples
        At most 1,500 images, balanced.
    pipeline : StableDiffusionPipeline
        Its ``unet``, ``vae`` and ``scheduler`` are used.
    batch_size : int
        Images per step.
    seed : int
    validation : sequence of bool, optional
        Prompts that only `validate` uses.

    Raises
    ------
    DataError
        If no image is left to train on, or none to validate on.
    """

    name = "diffusion"
    pace = 1.0

    def __init__(
        self,
        correction: Correction,
        prompts: Sequence[str],
        subjects: Sequence[str],
        examples: Examples,
        pipeline: Any,
        *,
        batch_size: int,
        seed: int,
        validation: Sequence[bool] | None = None,
    ) -> None:
        self._correction, self._pipeline, self._seed = correction, pipeline, seed
        self.rng = torch.Generator().manual_seed(seed)
        encoder, table = correction.encoder, examples.table
        self._rows = _rows_by_subject(table)
        n_values = table["value"].nunique()
        self._n_sets = max(1, batch_size // n_values)
        known = [row for row, subject in enumerate(subjects) if subject in self._rows]
        self._subjects = [subjects[row] for row in known]
        chosen = [prompts[row] for row in known]
        self._training, self._validation = split_rows(
            len(known), None if validation is None else [validation[row] for row in known]
        )
        if validation is not None and not (len(self._training) and len(self._validation)):
            raise DataError(
                f"early stopping needs training images and validation images, but there are images "
                f"of {', '.join(self._rows)} only; use more examples, or set patience to 0"
            )
        correction.token.vector.requires_grad_(False)
        with torch.no_grad():
            self._states = correction.token.encode(encoder, chosen)
            self._latents = encode_images(pipeline.vae, examples.pixels())
            self._explicit = None
            if "source_prompt" in table:
                self._explicit = encoder.states(table["source_prompt"].tolist())
        bias_scores = correction.gate.bias_score(encoder.embed(chosen))
        self._toward_male = torch.from_numpy(bias_scores < 0)
        self.parameters = trainable(correction.experts)
        pipeline.unet.requires_grad_(False)
        self._routed, self._routes = None, [""] * len(chosen)
        if (experts := correction.unet_experts) is not None:
            self.parameters += trainable(experts)
            self._routed = RoutedUNet(pipeline.unet, experts)
            self._routes = [experts.route(score < 0, abs(score)) for score in bias_scores]

    def __enter__(self) -> DiffusionObjective:
        return self

    def __exit__(self, *error: object) -> None:
        if self._routed is not None:
            self._routed.detach()

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        return self._loss_of(self._draw(self._training, self.rng))

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._draw(self._training, self.rng)

    @torch.no_grad()
    def validate(self) -> float:
        """Compute the loss of a few batches of validation prompts, the same at each call."""
        rng = torch.Generator().manual_seed(self._seed)
        batches = (self._draw(self._validation, rng) for _ in range(_N_VALIDATION_BATCHES))
        return float(np.mean([float(self._loss_of(batch)) for batch in batches]))

    def _draw(self, among: torch.Tensor, rng: torch.Generator) -> _Batch:
        n_timesteps = self._pipeline.scheduler.config.num_train_timesteps
        prompts = among[torch.randint(len(among), (self._n_sets,), generator=rng)]
        rows = torch.stack(
            [
                torch.stack([of[torch.randint(len(of), (), generator=rng)] for of in by_value])
                for by_value in (self._rows[self._subjects[i]] for i in prompts)
            ]
        )  # (n_sets, n_values)
        least = int(HIGH_NOISE * n_timesteps)
        times = torch.randint(least, n_timesteps, (self._n_sets, 1), generator=rng)
        noise = torch.randn(self._n_sets, 1, *self._latents.shape[1:], generator=rng)
        return _Batch(prompts, rows, times, noise)

    def _loss_of(self, batch: _Batch) -> torch.Tensor:
        scheduler, unet = self._pipeline.scheduler, self._pipeline.unet
        prompts, rows = batch.prompts, batch.rows
        clean = self._latents[rows.flatten()]
        times = batch.times.expand(rows.shape).flatten().to(clean.device)
        noise = batch.noise.expand(*rows.shape, -1, -1, -1).flatten(0, 1).to(clean.device)
        noised = scheduler.add_noise(clean, noise, times)
        if self._explicit is None:
            target = prediction_target(scheduler, clean, noise, times)
        else:
            self._set_routes([""] * len(noised))
            with torch.no_grad():
                target = unet(noised, times, self._explicit[rows.flatten()]).sample
        self._set_routes([self._routes[i] for i in prompts for _ in range(rows.shape[1])])
        states = self._correction.experts(self._states[prompts], self._toward_male[prompts])
        predicted = unet(noised, times, states.repeat_interleave(rows.shape[1], dim=0)).sample
        return functional.mse_loss(predicted, target)

    def _set_routes(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.set_routes(routes)


def _rows_by_subject(table: pd.DataFrame) -> dict[str, list[torch.Tensor]]:
    """List the rows of each value, by subject."""
    return {
        str(subject): [
            torch.tensor(rows.index.to_list()) for _, rows in of_subject.groupby("value")
        ]
        for subject, of_subject in table.groupby("subject")
    }
