"""The latent objective: remove the bias score of prompts without an image model."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from probe.arrays import Float32
from probe.moesd.correction import Correction
from probe.moesd.gate import lacking


class LatentObjective:
    """Bring the bias score of corrected prompts to zero and keep everything else.

    ``mean(bias_score^2) / mean(bias_score_before^2) + mean |(I - aa^T)(z_corrected - z)|^2``, with
    a the unit vector along the gate's axis. The objective is ours. It trains the token and the
    experts on skewed prompts, whose pooled states are ``vectors``, shape (n_prompts, n_features).
    """

    name = "latent"
    pace = 1.0

    def __init__(self, correction: Correction, prompts: Sequence[str], vectors: Float32) -> None:
        self._correction = correction
        encoder = correction.encoder
        ids, self._places = correction.token.input_ids(encoder, prompts)
        self._ids = ids[:, : encoder.n_needed(ids).max()]
        device = encoder.device
        self._vectors = torch.from_numpy(vectors).to(device)
        bias_scores = correction.gate.bias_score(vectors)
        self._chosen = torch.from_numpy(lacking(bias_scores))
        self._bias_score_scale = float((bias_scores**2).mean())
        self._axis = torch.from_numpy(correction.gate.axis).float().to(device)
        token = correction.token
        token.vector.requires_grad_(token.is_used)
        learned = [token.vector] if token.is_used else []
        of_experts = [w for w in correction.experts.parameters() if w.requires_grad]
        self.parameters = [*learned, *of_experts]

    def loss(self) -> torch.Tensor:
        """Compute the loss over all prompts."""
        correction = self._correction
        states = correction.token.states(correction.encoder, self._ids, self._places)
        corrected = correction.experts(states, self._chosen)
        z = functional.normalize(correction.encoder.pool(corrected, self._ids), dim=1)
        change = z - self._vectors
        along = change @ functional.normalize(self._axis, dim=0)
        kept = change.square().sum(dim=1) - along.square()
        bias_score = z @ self._axis - correction.gate.midpoint
        return bias_score.square().mean() / self._bias_score_scale + kept.mean()
