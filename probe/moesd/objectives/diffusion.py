"""The objectives on images: denoise balanced images under corrected neutral prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from probe.errors import DataError
from probe.images.denoising import encode_images, prediction_target, training_scheduler
from probe.moesd.correction import Correction
from probe.moesd.examples import Examples
from probe.moesd.gate import lacking
from probe.moesd.unet_experts import RoutedUNet

HIGH_NOISE = 0.4
"""Only time steps above this share of the schedule are trained on: gender is decided early."""


class DiffusionObjective:
    """Denoise balanced images under the corrected neutral prompt; the image model is frozen.

    The images of a step come in sets with one image of each value, which share subject, noise and
    time, so that the experts see no other difference than the value. They learn the prediction
    under which every value is equally likely.

    The target of an image is its noise (or velocity). If the examples record the prompt they were
    made from, the frozen model's prediction under that prompt replaces it: its expectation is the
    same, with less variance.

    The objective is a context manager: experts are in the U-Net until it is exited.

    Parameters
    ----------
    prompts, subjects : sequence of str
        Neutral prompts of training occupations, in any template, and the subject of each.
    batch_size : int
        Images per step.
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
    ) -> None:
        encoder, table = correction.encoder, examples.table
        self._rows = {
            str(subject): [
                torch.tensor(rows.index.to_list()) for _, rows in of_subject.groupby("value")
            ]
            for subject, of_subject in table.groupby("subject")
        }
        self._n_sets = max(1, batch_size // table["value"].nunique())
        known = [row for row, subject in enumerate(subjects) if subject in self._rows]
        self._subjects = [subjects[row] for row in known]
        if not known:
            raise DataError(
                f"no image of {examples.folder} has a skewed occupation of the training as its "
                "subject; name the subjects in its captions' file, or choose the objective 'noise'"
            )
        chosen = [prompts[row] for row in known]
        correction.token.vector.requires_grad_(False)
        with torch.no_grad():
            self._states = correction.token.encode(encoder, chosen)
            self._explicit = None
            if "source_prompt" in table:
                self._explicit = encoder.states(table["source_prompt"].tolist())
        self._prepare(correction, chosen, examples, pipeline, seed)

    def _prepare(
        self,
        correction: Correction,
        prompts: Sequence[str],
        examples: Examples,
        pipeline: Any,
        seed: int,
    ) -> None:
        self._correction, self._unet = correction, pipeline.unet.requires_grad_(False)
        self._scheduler = training_scheduler(pipeline)
        self.rng = torch.Generator().manual_seed(seed)
        self._latents = encode_images(pipeline.vae, examples.batches(pipeline))
        bias_scores = correction.gate.bias_score(correction.encoder.embed(prompts))
        self._chosen = torch.from_numpy(lacking(bias_scores))
        modules: list[torch.nn.Module] = [correction.experts]
        self._routed, self._routes = None, [""] * len(prompts)
        if (experts := correction.unet_experts) is not None:
            modules.append(experts)
            self._routed = RoutedUNet(self._unet, experts)
            self._routes = [experts.route(int(value)) for value in self._chosen]
        self.parameters: list[torch.Tensor] = [
            weight for of in modules for weight in of.parameters() if weight.requires_grad
        ]

    def __enter__(self) -> DiffusionObjective:
        return self

    def __exit__(self, *error: object) -> None:
        if self._routed is not None:
            self._routed.detach()

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        prompts, rows, times, noise = self._draw()
        clean = self._latents[rows.flatten()]
        times = times.expand(rows.shape).flatten().to(clean.device)
        noise = noise.expand(*rows.shape, -1, -1, -1).flatten(0, 1).to(clean.device)
        noised = self._scheduler.add_noise(clean, noise, times)
        if self._explicit is None:
            target = prediction_target(self._scheduler, clean, noise, times)
        else:
            self._set_routes([""] * len(noised))
            with torch.no_grad():
                target = self._unet(noised, times, self._explicit[rows.flatten()]).sample
        self._set_routes([self._routes[i] for i in prompts for _ in range(rows.shape[1])])
        states = self._correction.experts(self._states[prompts], self._chosen[prompts])
        predicted = self._unet(noised, times, states.repeat_interleave(rows.shape[1], dim=0)).sample
        return functional.mse_loss(predicted, target)

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._draw()

    def _draw(self) -> tuple[torch.Tensor, ...]:
        """Draw sets: their prompts, image rows, times (n_sets, 1) and noise (n_sets, 1, ...)."""
        n_timesteps, rng = self._scheduler.config.num_train_timesteps, self.rng
        prompts = torch.randint(len(self._subjects), (self._n_sets,), generator=rng)
        rows = torch.stack(
            [
                torch.stack([of[torch.randint(len(of), (), generator=rng)] for of in by_value])
                for by_value in (self._rows[self._subjects[i]] for i in prompts)
            ]
        )  # (n_sets, n_values)
        least = int(HIGH_NOISE * n_timesteps)
        times = torch.randint(least, n_timesteps, (self._n_sets, 1), generator=rng)
        noise = torch.randn(self._n_sets, 1, *self._latents.shape[1:], generator=rng)
        return prompts, rows, times, noise

    def _set_routes(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.set_routes(routes)


class NoiseObjective(DiffusionObjective):
    """The objective of the paper: predict the noise (or velocity) of image-caption pairs.

    ``mean |prediction(x_t, caption) - target|^2`` over pairs, noises and all time steps, with the
    special token in the caption and the expert of the caption's bias score. Token and experts are
    trained together; there is no teacher, and no set of images shares its noise.

    References
    ----------
    *MoESD*, arXiv 2407.11002.
    """

    name = "noise"

    def __init__(
        self,
        correction: Correction,
        examples: Examples,
        pipeline: Any,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        captions, token = examples.table["prompt"].tolist(), correction.token
        self._prepare(correction, captions, examples, pipeline, seed)
        self._ids, self._places = token.input_ids(correction.encoder, captions)
        self._batch_size = batch_size
        token.vector.requires_grad_(token.is_used)
        self.parameters += [token.vector] * token.is_used

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch, drawn with replacement."""
        rows, times, noise = self._draw()
        clean = self._latents[rows]
        times, noise = times.to(clean.device), noise.to(clean.device)
        token, encoder = self._correction.token, self._correction.encoder
        states = token.states(encoder, self._ids[rows], self._places[rows])
        states = self._correction.experts(states, self._chosen[rows])
        self._set_routes([self._routes[row] for row in rows])
        noised = self._scheduler.add_noise(clean, noise, times)
        predicted = self._unet(noised, times, states).sample
        target = prediction_target(self._scheduler, clean, noise, times)
        return functional.mse_loss(predicted, target)

    def _draw(self) -> tuple[torch.Tensor, ...]:
        """Draw pairs, their time steps, (batch_size,) each, and their noise."""
        n, rng = self._batch_size, self.rng
        rows = torch.randint(len(self._latents), (n,), generator=rng)
        times = torch.randint(self._scheduler.config.num_train_timesteps, (n,), generator=rng)
        return rows, times, torch.randn(n, *self._latents.shape[1:], generator=rng)
