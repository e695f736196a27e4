"""The objective on text states: regression of the experts on fixed targets."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch.nn import functional

from probe.moesd.correction import EncoderExperts
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.text.attributes import Attribute, values_named
from probe.text.encoder import TextEncoder

_N_POSITIONS = 32  # experts treat every position alike; the token hardly depends on the others
_OF_CELLS = 0.5  # more costs the occupation; docs/attributes.md
_PACE = 5.0  # regression on fixed targets converges with longer steps than the other objectives


class CounterfactualStates:
    """Bring each expert's states to those of its counterfactual and beyond, token by token.

    ``mean_k |E_k(x) - t_k|^2 / |x - t_k|^2`` with ``t_k = x + e (x_k - x)``: x are the states of
    the neutral prompt with the special token, x_k those of its counterfactual, aligned, E_k the
    expert, and e the ``emphasis``, or 1 for attributes of more than two values and for cells, where
    more did not help (docs/attributes.md). 1: no better than without an expert; 0: each expert is
    at its target. It trains token and experts on gender-neutral prompts of training occupations,
    skewed or not. Of a causal encoder's padding, only the first `_N_POSITIONS` positions of a
    prompt are compared, since each step encodes them. With ``all_positions``, all are, and each
    prompt is encoded once: only the experts are trained. The objective is ours.
    """

    name = "counterfactual states"
    pace = _PACE

    def __init__(
        self,
        trained: EncoderExperts,
        attributes: Sequence[Attribute],
        prompts: Sequence[str],
        counterfactuals: Counterfactuals,
        *,
        emphasis: float = 1.0,
        all_positions: bool = False,
    ) -> None:
        self._trained = trained
        encoder, token = trained.encoder, trained.token
        ids, self._places = token.input_ids(encoder, prompts)
        self._ids = ids if all_positions else ids[:, : _n_compared(encoder, ids)]
        token.vector.requires_grad_(not all_positions)
        self.parameters: list[torch.Tensor] = list(trained.experts.parameters())
        if not all_positions:
            self.parameters.insert(0, token.vector)
        with torch.no_grad():
            plain = token.states(encoder, self._ids, self._places)
            stated = counterfactuals.aligned_states(encoder, token, prompts)
            stated = stated[:, :, : self._ids.shape[1]]
            moves = stated - plain  # (K, n_prompts, n_tokens, n_features)
            n_values = [len(of.values) for of in attributes for _ in of.values]
            by_value = torch.tensor([emphasis if n == 2 else 1.0 for n in n_values]).to(plain)
            self._targets = plain + by_value[:, None, None, None] * moves
            for cell, value in _values_of_cells(attributes):
                self._targets[cell] += _OF_CELLS * (emphasis - 1) * moves[value]
            self._scales = (plain - self._targets).square().mean(dim=(1, 2, 3))  # (K,)
        self._fixed = plain if all_positions else None

    def loss(self) -> torch.Tensor:
        """Compute the loss over all prompts."""
        token, adapters = self._trained.token, self._trained.experts.adapters
        states = self._fixed
        if states is None:
            states = token.states(self._trained.encoder, self._ids, self._places)
        left = [
            functional.mse_loss(adapter(states), target) / scale
            for adapter, target, scale in zip(
                adapters.values(), self._targets, self._scales, strict=True
            )
        ]
        return torch.stack(left).mean()


def _values_of_cells(attributes: Sequence[Attribute]) -> Iterator[tuple[int, int]]:
    """Pair the place of each cell with those of its values of attributes of two values."""
    *alone, cells = attributes
    starts = [0, *accumulate(len(of.values) for of in alone)]
    for cell, name in enumerate(cells.values if alone else (), start=starts[-1]):
        for of, start, place in zip(alone, starts, values_named(name, alone), strict=False):
            if len(of.values) == 2 and place >= 0:
                yield cell, start + place


def leaves_out_positions(trained: EncoderExperts, prompts: Sequence[str]) -> bool:
    """Whether `CounterfactualStates` compares only the first positions of these prompts."""
    ids = trained.input_ids(prompts)
    return _n_compared(trained.encoder, ids) < ids.shape[1]


def _n_compared(encoder: TextEncoder, ids: torch.Tensor) -> int:
    return min(ids.shape[1], max(_N_POSITIONS, int(encoder.n_needed(ids).max())))
