"""The objectives on images: denoise balanced images under corrected neutral prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch.nn import functional

from probe.errors import DataError
from probe.images.denoising import encode_images
from probe.images.intervention import with_states
from probe.images.models.conditions import Conditions
from probe.images.models.lookup import image_model
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
        self._prepare(correction, chosen, examples, pipeline, seed)
        self._ids, places = correction.token.input_ids(encoder, chosen)
        with torch.no_grad():
            self._states = correction.token.states(encoder, self._ids, places)
        self._explicit = None
        if "source_prompt" in table:
            self._source_of, sources = pd.factorize(table["source_prompt"])
            self._explicit = self._model.conditions(list(sources))

    def _prepare(
        self,
        correction: Correction,
        prompts: Sequence[str],
        examples: Examples,
        pipeline: Any,
        seed: int,
    ) -> None:
        self._correction, self._model = correction, image_model(pipeline)
        self._model.network.requires_grad_(False)
        self._schedule = self._model.schedule
        self.rng = torch.Generator().manual_seed(seed)
        self._latents = encode_images(self._model, examples.batches(pipeline))
        self._plain = self._model.conditions(prompts)
        bias_scores = correction.gate.bias_score(correction.encoder.embed(prompts))
        self._chosen = torch.from_numpy(lacking(bias_scores))
        modules: list[torch.nn.Module] = [correction.experts]
        self._routed, self._routes = None, [""] * len(prompts)
        if (experts := correction.unet_experts) is not None:
            modules.append(experts)
            self._routed = RoutedUNet(self._model.network, experts)
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
        noised = self._schedule.add_noise(clean, noise, times)
        if self._explicit is None:
            target = self._schedule.target(clean, noise, times)
        else:
            self._set_routes([""] * len(noised))
            sources = self._explicit[self._source_of[rows.flatten().numpy()].tolist()]
            with torch.no_grad():
                target = self._model.predict(noised, times, sources)
        self._set_routes([self._routes[i] for i in prompts for _ in range(rows.shape[1])])
        given = self._corrected(prompts, self._states[prompts])
        each = [of for of in range(len(given)) for _ in range(rows.shape[1])]
        return functional.mse_loss(self._model.predict(noised, times, given[each]), target)

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._draw()

    def _corrected(self, rows: torch.Tensor, states: torch.Tensor) -> Conditions:
        """Conditions of prompts whose states have the token, behind their experts."""
        states = self._correction.experts(states, self._chosen[rows])
        plain = self._plain[rows.tolist()]
        return with_states(self._model, self._correction, plain, states, self._ids[rows])

    def _draw(self) -> tuple[torch.Tensor, ...]:
        """Draw sets: their prompts, image rows, times (n_sets, 1) and noise (n_sets, 1, ...)."""
        n_times, rng = self._schedule.n_times, self.rng
        prompts = torch.randint(len(self._subjects), (self._n_sets,), generator=rng)
        rows = torch.stack(
            [
                torch.stack([of[torch.randint(len(of), (), generator=rng)] for of in by_value])
                for by_value in (self._rows[self._subjects[i]] for i in prompts)
            ]
        )  # (n_sets, n_values)
        least = int(HIGH_NOISE * n_times)
        times = torch.randint(least, n_times, (self._n_sets, 1), generator=rng)
        noise = torch.randn(self._n_sets, 1, *self._latents.shape[1:], generator=rng)
        return prompts, rows, times + self._schedule.first, noise

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
        self._set_routes([self._routes[row] for row in rows])
        noised = self._schedule.add_noise(clean, noise, times)
        predicted = self._model.predict(noised, times, self._corrected(rows, states))
        return functional.mse_loss(predicted, self._schedule.target(clean, noise, times))

    def _draw(self) -> tuple[torch.Tensor, ...]:
        """Draw pairs, their time steps, (batch_size,) each, and their noise."""
        n, rng = self._batch_size, self.rng
        rows = torch.randint(len(self._latents), (n,), generator=rng)
        times = torch.randint(self._schedule.n_times, (n,), generator=rng) + self._schedule.first
        return rows, times, torch.randn(n, *self._latents.shape[1:], generator=rng)
