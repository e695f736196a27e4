"""The two objectives of the training (ours: the paper gives the second in words only)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from probe.moesd.examples import Examples
from probe.moesd.model import MoESD

Matrix = npt.NDArray[np.float32]
HIGH_NOISE = 0.4
"""Pictures are noised at steps above this share of the schedule: gender is decided early."""


class LatentObjective:
    """Bring the skew of corrected prompts to zero and keep everything else; no image model.

    ``mean(skew^2) / mean(skew_before^2) + keep * mean |(I - aa^T)(z_corrected - z)|^2``,
    with a the unit vector along the gate's axis.

    Parameters
    ----------
    moesd : MoESD
        Token and experts are trained.
    prompts : sequence of str
        Skewed prompts of training occupations.
    vectors : ndarray of shape (n_prompts, n_features)
        Their pooled states, L2-normalised.
    """

    name = "latent"

    def __init__(
        self, moesd: MoESD, prompts: Sequence[str], vectors: Matrix, *, keep: float = 1.0
    ) -> None:
        self._moesd, self._keep = moesd, keep
        self._ids, self._places = moesd.token.input_ids(moesd.encoder, prompts)
        self._vectors = torch.from_numpy(vectors)
        skews = moesd.gate.skew(vectors)
        self._toward_male = torch.from_numpy(skews < 0)
        self._skew_scale = float((skews**2).mean())
        self._axis = torch.from_numpy(moesd.gate.axis).float()
        moesd.token.vector.requires_grad_(True)
        self.parameters = [moesd.token.vector, *moesd.experts.parameters()]

    def loss(self) -> torch.Tensor:
        """Compute the loss over all prompts."""
        moesd = self._moesd
        states = moesd.token.states(moesd.encoder, self._ids, self._places)
        corrected = moesd.experts(states, self._toward_male)
        z = functional.normalize(moesd.encoder.pool(corrected, self._ids), dim=1)
        change = z - self._vectors
        along = change @ functional.normalize(self._axis, dim=0)
        kept = change.square().sum(dim=1) - along.square()
        skew = z @ self._axis - moesd.gate.midpoint
        return skew.square().mean() / self._skew_scale + self._keep * kept.mean()


class DiffusionObjective:
    """Denoise balanced pictures under the corrected neutral prompt; the image model is frozen.

    The pictures of a step come in sets, one for each value of the attribute, that share subject,
    noise and time: the difference between the values is then the only one the experts see.

    Parameters
    ----------
    examples : Examples
        At most 1,500 pictures, balanced.
    pipeline : StableDiffusionPipeline
        Its ``unet``, ``vae`` and ``scheduler`` are used as they are.
    """

    name = "diffusion"

    def __init__(
        self, moesd: MoESD, examples: Examples, pipeline: Any, *, batch_size: int, seed: int
    ) -> None:
        self._moesd, self._pipeline, self._examples = moesd, pipeline, examples
        self._rng = torch.Generator().manual_seed(seed)
        self._latents = _encode(pipeline.vae, examples.pixels())
        table = examples.table
        self._values = sorted(set(table["value"]))
        self._rows = {
            subject: [
                torch.from_numpy(
                    np.flatnonzero((table["subject"] == subject) & (table["value"] == value))
                )
                for value in self._values
            ]
            for subject in sorted(set(table["subject"]))
        }
        self._subjects = list(self._rows)
        self._n_sets = max(1, batch_size // len(self._values))
        prompts = table.drop_duplicates("subject").set_index("subject")["prompt"]
        chosen = [str(prompts[subject]) for subject in self._subjects]
        moesd.token.vector.requires_grad_(False)
        ids, places = moesd.token.input_ids(moesd.encoder, chosen)
        with torch.no_grad():
            self._states = moesd.token.states(moesd.encoder, ids, places)
        z = moesd.encoder.embed(chosen)
        self._toward_male = torch.from_numpy(moesd.gate.skew(z) < 0)
        self.parameters = list(moesd.experts.parameters())
        pipeline.unet.requires_grad_(False)

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        scheduler, unet = self._pipeline.scheduler, self._pipeline.unet
        n_timesteps = scheduler.config.num_train_timesteps
        picked = torch.randint(len(self._subjects), (self._n_sets,), generator=self._rng)
        rows = torch.stack([self._draw(self._subjects[i]) for i in picked])  # (n_sets, n_values)
        low = int(HIGH_NOISE * n_timesteps)
        times = torch.randint(low, n_timesteps, (self._n_sets, 1), generator=self._rng)
        clean = self._latents[rows.flatten()]
        noise = torch.randn(self._n_sets, 1, *clean.shape[1:], generator=self._rng)
        noise = noise.expand(-1, rows.shape[1], -1, -1, -1).flatten(0, 1)
        times = times.expand(-1, rows.shape[1]).flatten()
        noised = scheduler.add_noise(clean, noise, times)
        states = self._moesd.experts(self._states[picked], self._toward_male[picked])
        states = states.repeat_interleave(rows.shape[1], dim=0)
        predicted = unet(noised, times, states).sample
        return functional.mse_loss(predicted, self._target(clean, noise, times))

    def _draw(self, subject: str) -> torch.Tensor:
        rows = self._rows[subject]
        return torch.stack([of[torch.randint(len(of), (), generator=self._rng)] for of in rows])

    def _target(
        self, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> torch.Tensor:
        scheduler = self._pipeline.scheduler
        if scheduler.config.prediction_type == "v_prediction":
            velocity: torch.Tensor = scheduler.get_velocity(clean, noise, times)
            return velocity
        return noise


@torch.no_grad()
def _encode(vae: Any, pixels: npt.NDArray[np.float32]) -> torch.Tensor:
    batches = torch.from_numpy(pixels).split(64)
    latents = torch.cat([vae.encode(batch).latent_dist.mean for batch in batches])
    return latents * vae.config.scaling_factor  # type: ignore[no-any-return]
