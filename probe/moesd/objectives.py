"""The two objectives of the training (ours: the paper gives the second in words only)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from probe.arrays import Float32
from probe.moesd.examples import Examples
from probe.moesd.model import MoESD
from probe.moesd.unet.routing import Routed

HIGH_NOISE = 0.4
"""Pictures are noised at steps above this share of the schedule: gender is decided early."""
_N_VALIDATING = 4


class LatentObjective:
    """Bring the bias score of corrected prompts to zero and keep everything else; no image model.

    ``mean(bias_score^2) / mean(bias_score_before^2) + keep * mean |(I - aa^T)(z_corrected -
    z)|^2``, with a the unit vector along the gate's axis.

    Parameters
    ----------
    moesd : MoESD
        Token and experts are trained.
    prompts : sequence of str
        Skewed prompts of training occupations.
    vectors : ndarray of shape (n_prompts, n_features)
        Their pooled states, L2-normalised.
    held : sequence of bool, optional
        Prompts that `validate` looks at and nothing is learnt from.
    """

    name = "latent"
    pace = 1.0

    def __init__(
        self,
        moesd: MoESD,
        prompts: Sequence[str],
        vectors: Float32,
        *,
        keep: float = 1.0,
        held: Sequence[bool] | None = None,
    ) -> None:
        self._moesd, self._keep = moesd, keep
        self._ids, self._places = moesd.token.input_ids(moesd.encoder, prompts)
        device = moesd.encoder.device
        self._vectors = torch.from_numpy(vectors).to(device)
        bias_scores = moesd.gate.bias_score(vectors)
        self._toward_male = torch.from_numpy(bias_scores < 0)
        self._bias_score_scale = float((bias_scores**2).mean())
        self._axis = torch.from_numpy(moesd.gate.axis).float().to(device)
        is_held = np.zeros(len(prompts), dtype=bool) if held is None else np.asarray(held)
        self._taught = torch.from_numpy(np.flatnonzero(~is_held))
        self._held = torch.from_numpy(np.flatnonzero(is_held))
        moesd.token.vector.requires_grad_(moesd.token.is_used)
        learned = [moesd.token.vector] if moesd.token.is_used else []
        self.parameters = [*learned, *_trained(moesd.experts)]

    def loss(self) -> torch.Tensor:
        """Compute the loss over all prompts."""
        return self._loss_of(self._taught)

    @torch.no_grad()
    def validate(self) -> float:
        """Compute the loss over the prompts that are held."""
        return float(self._loss_of(self._held))

    def _loss_of(self, rows: torch.Tensor) -> torch.Tensor:
        moesd, ids = self._moesd, self._ids[rows]
        states = moesd.token.states(moesd.encoder, ids, self._places[rows])
        corrected = moesd.experts(states, self._toward_male[rows])
        z = functional.normalize(moesd.encoder.pool(corrected, ids), dim=1)
        change = z - self._vectors[rows.to(z.device)]
        along = change @ functional.normalize(self._axis, dim=0)
        kept = change.square().sum(dim=1) - along.square()
        bias_score = z @ self._axis - moesd.gate.midpoint
        return bias_score.square().mean() / self._bias_score_scale + self._keep * kept.mean()


class _Drawn(NamedTuple):
    """The chance of one batch of sets; pictures of a set share prompt, time and noise."""

    picked: torch.Tensor
    """Shape (n_sets,): row of the prompt."""
    rows: torch.Tensor
    """Shape (n_sets, n_values): rows of the pictures."""
    times: torch.Tensor
    """Shape (n_sets, 1)."""
    noise: torch.Tensor
    """Shape (n_sets, 1, channels, height, width)."""


class DiffusionObjective:
    """Denoise balanced pictures under the corrected neutral prompt; the image model is frozen.

    The pictures of a step come in sets, one for each value of the attribute, that share subject,
    noise and time: the difference between the values is then the only one the experts see. What
    they learn is the prediction under which every value is equally likely.

    Experts of the U-Net are put into it for as long as the objective is entered as a context.

    The target of a picture is its noise (or velocity), as in the paper. Where the pictures come
    with the prompt they were made from, the frozen model's own prediction under that prompt stands
    for it: the same on average, without the chance of one picture.

    Parameters
    ----------
    prompts : sequence of str
        Neutral prompts of training occupations, in any template.
    subjects : sequence of str
        The subject of each.
    examples : Examples
        At most 1,500 pictures, balanced.
    pipeline : StableDiffusionPipeline
        Its ``unet``, ``vae`` and ``scheduler`` are used as they are.
    held : sequence of bool, optional
        Prompts that `validate` looks at and nothing is learnt from.
    """

    name = "diffusion"
    pace = 1.0

    def __init__(
        self,
        moesd: MoESD,
        prompts: Sequence[str],
        subjects: Sequence[str],
        examples: Examples,
        pipeline: Any,
        *,
        batch_size: int,
        seed: int,
        held: Sequence[bool] | None = None,
    ) -> None:
        self._moesd, self._pipeline, self._seed = moesd, pipeline, seed
        self.rng = torch.Generator().manual_seed(seed)
        encoder, table = moesd.encoder, examples.table
        self._rows = _rows_by_subject(table)
        n_values = table["value"].nunique()
        self._n_sets = max(1, batch_size // n_values)
        known = [row for row, subject in enumerate(subjects) if subject in self._rows]
        self._subjects = [subjects[row] for row in known]
        chosen = [prompts[row] for row in known]
        is_held = np.array([held is not None and held[row] for row in known], dtype=bool)
        self._taught = torch.from_numpy(np.flatnonzero(~is_held))
        self._held = torch.from_numpy(np.flatnonzero(is_held))
        moesd.token.vector.requires_grad_(False)
        ids, places = moesd.token.input_ids(encoder, chosen)
        with torch.no_grad():
            self._states = moesd.token.states(encoder, ids, places)
            self._latents = _encode(pipeline.vae, examples.pixels())
            self._said = encoder.states(table["said"].tolist()) if "said" in table else None
        bias_scores = moesd.gate.bias_score(encoder.embed(chosen))
        self._toward_male = torch.from_numpy(bias_scores < 0)
        self.parameters = _trained(moesd.experts)
        pipeline.unet.requires_grad_(False)
        self._routed, self._routes = None, [""] * len(chosen)
        if (inner := moesd.unet_experts) is not None:
            self.parameters += _trained(inner)
            self._routed = Routed(pipeline.unet, inner)
            self._routes = [
                inner.route(bias_score < 0, abs(bias_score)) for bias_score in bias_scores
            ]

    def __enter__(self) -> DiffusionObjective:
        return self

    def __exit__(self, *error: object) -> None:
        if self._routed is not None:
            self._routed.detach()

    def loss(self) -> torch.Tensor:
        """Compute the loss of one batch."""
        return self._loss_of(self._drawn(self._taught, self.rng))

    def skip(self) -> None:
        """Draw a batch that another process computes."""
        self._drawn(self._taught, self.rng)

    @torch.no_grad()
    def validate(self) -> float:
        """Compute the loss of a few batches of the prompts that are held, the same each time."""
        rng = torch.Generator().manual_seed(self._seed)
        losses = [float(self._loss_of(self._drawn(self._held, rng))) for _ in range(_N_VALIDATING)]
        return float(np.mean(losses))

    def _drawn(self, among: torch.Tensor, rng: torch.Generator) -> _Drawn:
        n_timesteps = self._pipeline.scheduler.config.num_train_timesteps
        picked = among[torch.randint(len(among), (self._n_sets,), generator=rng)]
        rows = torch.stack(
            [self._draw(self._subjects[i], rng) for i in picked]
        )  # (n_sets, n_values)
        times = torch.randint(
            int(HIGH_NOISE * n_timesteps), n_timesteps, (self._n_sets, 1), generator=rng
        )
        noise = torch.randn(self._n_sets, 1, *self._latents.shape[1:], generator=rng)
        return _Drawn(picked, rows, times, noise)

    def _loss_of(self, drawn: _Drawn) -> torch.Tensor:
        scheduler, unet = self._pipeline.scheduler, self._pipeline.unet
        picked, rows = drawn.picked, drawn.rows
        clean = self._latents[rows.flatten()]
        times = drawn.times.expand(rows.shape).flatten().to(clean.device)
        noise = drawn.noise.expand(*rows.shape, -1, -1, -1).flatten(0, 1).to(clean.device)
        noised = scheduler.add_noise(clean, noise, times)
        if self._said is None:
            target = _target(scheduler, clean, noise, times)
        else:
            self._send([""] * len(noised))
            with torch.no_grad():
                target = unet(noised, times, self._said[rows.flatten()]).sample
        self._send([self._routes[i] for i in picked for _ in range(rows.shape[1])])
        states = self._moesd.experts(self._states[picked], self._toward_male[picked])
        predicted = unet(noised, times, states.repeat_interleave(rows.shape[1], dim=0)).sample
        return functional.mse_loss(predicted, target)

    def _send(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.send(routes)

    def _draw(self, subject: str, rng: torch.Generator) -> torch.Tensor:
        rows = self._rows[subject]
        return torch.stack([of[torch.randint(len(of), (), generator=rng)] for of in rows])


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in module.parameters() if weight.requires_grad]


def _rows_by_subject(table: pd.DataFrame) -> dict[str, list[torch.Tensor]]:
    """List the rows of each value, by subject."""
    return {
        str(subject): [
            torch.tensor(rows.index.to_list()) for _, rows in of_subject.groupby("value")
        ]
        for subject, of_subject in table.groupby("subject")
    }


def _target(
    scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
) -> torch.Tensor:
    """Give what the image model was trained to predict."""
    if scheduler.config.prediction_type == "v_prediction":
        velocity: torch.Tensor = scheduler.get_velocity(clean, noise, times)
        return velocity
    return noise


@torch.no_grad()
def _encode(vae: Any, pixels: npt.NDArray[np.float32]) -> torch.Tensor:
    batches = torch.from_numpy(pixels).to(vae.device).split(64)
    latents = torch.cat([vae.encode(batch).latent_dist.mean for batch in batches])
    return latents * vae.config.scaling_factor  # type: ignore[no-any-return]
