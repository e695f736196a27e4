"""The latent objective: remove the bias score of prompts without an image model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from probe.arrays import Float32
from probe.moesd.correction import Correction


class LatentObjective:
    """Bring the bias score of corrected prompts to zero and keep everything else.

    ``mean(bias_score^2) / mean(bias_score_before^2) + keep * mean |(I - aa^T)(z_corrected -
    z)|^2``, with a the unit vector along the gate's axis. The objective is ours.

    Parameters
    ----------
    correction : Correction
        Token and experts are trained.
    prompts : sequence of str
        Skewed prompts of training occupations.
    vectors : ndarray of shape (n_prompts, n_features)
        Their pooled states, L2-normalised.
    keep : float
        Weight of the second term.
    validation : sequence of bool, optional
        Prompts that only `validate` uses.
    """

    name = "latent"
    pace = 1.0

    def __init__(
        self,
        correction: Correction,
        prompts: Sequence[str],
        vectors: Float32,
        *,
        keep: float = 1.0,
        validation: Sequence[bool] | None = None,
    ) -> None:
        self._correction, self._keep = correction, keep
        self._ids, self._places = correction.token.input_ids(correction.encoder, prompts)
        device = correction.encoder.device
        self._vectors = torch.from_numpy(vectors).to(device)
        bias_scores = correction.gate.bias_score(vectors)
        self._toward_male = torch.from_numpy(bias_scores < 0)
        self._bias_score_scale = float((bias_scores**2).mean())
        self._axis = torch.from_numpy(correction.gate.axis).float().to(device)
        self._training, self._validation = split_rows(len(prompts), validation)
        token = correction.token
        token.vector.requires_grad_(token.is_used)
        learned = [token.vector] if token.is_used else []
        self.parameters = [*learned, *trainable(correction.experts)]

    def loss(self) -> torch.Tensor:
        """Compute the loss over all training prompts."""
        return self._loss_of(self._training)

    @torch.no_grad()
    def validate(self) -> float:
        """Compute the loss over the validation prompts."""
        return float(self._loss_of(self._validation))

    def _loss_of(self, rows: torch.Tensor) -> torch.Tensor:
        correction, ids = self._correction, self._ids[rows]
        states = correction.token.states(correction.encoder, ids, self._places[rows])
        corrected = correction.experts(states, self._toward_male[rows])
        z = functional.normalize(correction.encoder.pool(corrected, ids), dim=1)
        change = z - self._vectors[rows.to(z.device)]
        along = change @ functional.normalize(self._axis, dim=0)
        kept = change.square().sum(dim=1) - along.square()
        bias_score = z @ self._axis - correction.gate.midpoint
        return bias_score.square().mean() / self._bias_score_scale + self._keep * kept.mean()


def split_rows(n: int, validation: Sequence[bool] | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Number the rows for training and those for validation."""
    is_validation = np.zeros(n, dtype=bool) if validation is None else np.asarray(validation, bool)
    training, validating = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
    return torch.from_numpy(training), torch.from_numpy(validating)


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """List the parameters that take a gradient."""
    return [weight for weight in module.parameters() if weight.requires_grad]
