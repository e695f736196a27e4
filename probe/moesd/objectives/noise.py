"""The objective of the paper: predict the noise of images under their corrected captions."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from probe.images.denoising import encode_images, prediction_target, training_scheduler
from probe.moesd.correction import Correction
from probe.moesd.examples import Examples
from probe.moesd.unet_experts import RoutedUNet


class NoiseObjective:
    """Predict the noise (or velocity) of balanced image-caption pairs; nothing else.

    ``mean |prediction(x_t, caption) - target|^2`` over pairs, noises and all time steps, with the
    special token in the caption and the expert of the caption's bias score. Token and experts are
    trained together. The objective is a context manager, as `DiffusionObjective` is.

    References
    ----------
    *MoESD*, arXiv 2407.11002.
    """

    name = "noise"
    pace = 1.0

    def __init__(
        self,
        correction: Correction,
        examples: Examples,
        pipeline: Any,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._correction, self._unet = correction, pipeline.unet.requires_grad_(False)
        self._scheduler = training_scheduler(pipeline)
        self._batch_size, self.rng = batch_size, torch.Generator().manual_seed(seed)
        self._latents = encode_images(pipeline.vae, examples.batches(pipeline))
        captions, token = examples.table["prompt"].tolist(), correction.token
        self._ids, self._places = token.input_ids(correction.encoder, captions)
        bias_scores = correction.gate.bias_score(correction.encoder.embed(captions))
        self._toward_male = torch.from_numpy(bias_scores < 0)
        token.vector.requires_grad_(token.is_used)
        modules = filter(None, (correction.experts, correction.unet_experts))
        trained = [w for module in modules for w in module.parameters() if w.requires_grad]
        self.parameters = [*trained, *[token.vector] * token.is_used]
        self._experts, self._routed = correction.unet_experts, None
        if self._experts is not None:
            self._routed = RoutedUNet(self._unet, self._experts)

    def __enter__(self) -> NoiseObjective:
        return self

    def __exit__(self, *error: object) -> None:
        if self._routed is not None:
            self._routed.detach()

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch, drawn with replacement."""
        rows, times, noise = self._draw()
        clean = self._latents[rows.to(self._latents.device)]
        times, noise = times.to(clean.device), noise.to(clean.device)
        noised = self._scheduler.add_noise(clean, noise, times)
        encoder, is_male = self._correction.encoder, self._toward_male[rows]
        states = self._correction.token.states(encoder, self._ids[rows], self._places[rows])
        states = self._correction.experts(states, is_male)
        if self._routed is not None and self._experts is not None:
            self._routed.set_routes([self._experts.route(bool(male)) for male in is_male])
        predicted = self._unet(noised, times, states).sample
        return functional.mse_loss(
            predicted, prediction_target(self._scheduler, clean, noise, times)
        )

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._draw()

    def _draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw pairs, their time steps, (batch_size,) each, and their noise."""
        n, rng = self._batch_size, self.rng
        rows = torch.randint(len(self._latents), (n,), generator=rng)
        times = torch.randint(self._scheduler.config.num_train_timesteps, (n,), generator=rng)
        return rows, times, torch.randn(n, *self._latents.shape[1:], generator=rng)
