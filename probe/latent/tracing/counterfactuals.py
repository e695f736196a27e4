"""Run male prompts, their female counterfactuals, and female prompts with a patched state."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from probe.arrays import Double, Vector
from probe.errors import DataError
from probe.latent.directions import BiasDirection, PairDirection, as_vector
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet
from probe.text.recording.architecture import Architecture, Point
from probe.text.recording.token_roles import TokenMask, token_roles

Masks = Mapping[Point, torch.Tensor]
"""Point -> what is put in there: bool, shape (n_patches, n_pairs, n_tokens, width), where all but
the first may be 1 for "all of them"."""


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """Pairs of prompts whose words are at the same tokens."""

    male_ids: torch.Tensor
    """Shape (n_pairs, n_tokens); so are the female ones."""
    female_ids: torch.Tensor
    roles: dict[str, TokenMask]
    """Role -> shape (n_pairs, n_tokens), the same for both prompts of a pair."""
    groups: npt.NDArray[np.intp]
    """Shape (n_pairs,): the occupation of each pair."""
    left_out: pd.DataFrame
    """Columns ``male``, ``female``, ``reason``."""

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(frozen=True, eq=False)
class Scores:
    """Places of prompts on the bias axis."""

    male: Double
    """Shape (n_pairs,)."""
    female: Double
    """Shape (n_pairs,)."""
    patched: Double
    """Shape (n_points, n_patches, n_pairs): the female prompts with one state put in."""


def align(encoder: TextEncoder, prompts: PromptSet) -> Counterfactuals:
    """Keep the pairs whose two prompts have their words at the same tokens; at least one."""
    counterfactuals = find_counterfactuals(encoder, prompts)
    if not len(counterfactuals):
        raise DataError(
            f"none of {len(counterfactuals.left_out)} pairs can be patched, the first because of "
            f"{counterfactuals.left_out['reason'].iloc[0]}; needed pairs whose words have as many "
            "tokens"
        )
    return counterfactuals


def find_counterfactuals(encoder: TextEncoder, prompts: PromptSet) -> Counterfactuals:
    """Do as `align`, but return no pairs where none can be kept."""
    male, female = prompts.pairs()
    roles, ids = token_roles(encoder, prompts), encoder.tokenize(prompts.prompts)
    lengths = roles["all"].sum(axis=1)
    reasons = np.full(len(male), "", dtype=object)
    fits = np.ones(len(male), dtype=bool)
    for mask in roles.values():
        fits &= (mask[male] == mask[female]).all(axis=1)
    reasons[~fits] = "the words are at different tokens"
    for row in np.flatnonzero(lengths[male] != lengths[female]):
        reasons[row] = f"{lengths[male[row]]} and {lengths[female[row]]} tokens"
    reasons[(ids[male] == ids[female]).all(dim=1).numpy()] = "the same tokens"
    is_kept = reasons == ""
    texts = np.array(prompts.prompts, dtype=object)
    left_out = pd.DataFrame({"male": texts[male], "female": texts[female], "reason": reasons}).loc[
        ~is_kept
    ]
    male, female = male[is_kept], female[is_kept]
    if not encoder.needs_padding:
        ids = ids[:, : int(lengths.max())]
    return Counterfactuals(
        male_ids=ids[male],
        female_ids=ids[female],
        roles={
            name: np.pad(mask[male], ((0, 0), (0, ids.shape[1] - mask.shape[1])))
            for name, mask in roles.items()
        },
        groups=pd.factorize(prompts.table["subject"].to_numpy()[male])[0],
        left_out=left_out.reset_index(drop=True),
    )


def axis_of(
    encoder: TextEncoder, prompts: PromptSet, direction: BiasDirection | Vector | None
) -> torch.Tensor:
    """Return the axis on which prompts are scored: the given one, or that of their pairs."""
    if direction is None:
        male, female = prompts.pairs()
        z = encoder.embed(prompts.prompts)
        direction = PairDirection().fit(z[male], z[female]).direction_
    return torch.as_tensor(as_vector(direction), dtype=torch.float32, device=encoder.device)


@torch.no_grad()
def patched_scores(
    encoder: TextEncoder,
    architecture: Architecture,
    counterfactuals: Counterfactuals,
    masks: Masks,
    axis: torch.Tensor,
    *,
    batch_size: int = 256,
) -> Scores:
    """Run the female prompts with states of the male ones put in, many patches a batch.

    All masks have the same number of patches. A patch that would change nothing, because both
    prompts have the same state there (as before the gendered word in a causal encoder), is not run.
    """
    n_patches = len(next(iter(masks.values())))
    male, female = np.empty(len(counterfactuals)), np.empty(len(counterfactuals))
    patched = np.empty((len(masks), n_patches, len(counterfactuals)))
    for rows in batches(len(counterfactuals), max(1, batch_size // n_patches)):
        ids = counterfactuals.female_ids[rows]
        theirs, male[rows], _ = read(
            encoder, architecture, counterfactuals.male_ids[rows], masks, axis
        )
        own, female[rows], _ = read(encoder, architecture, ids, masks, axis)
        patched[:, :, rows] = female[rows]
        for entry, (point, mask) in enumerate(masks.items()):
            mask = mask.expand(n_patches, mask.shape[1], *ids.shape[1:], mask.shape[3])
            mask = mask.expand(-1, len(counterfactuals), -1, -1)[:, rows].to(encoder.device)
            moves = (mask & (theirs[point] != own[point])).any(dim=3).any(dim=2)
            patch, pair = moves.nonzero(as_tuple=True)  # (n_runs,) each
            if not len(patch):
                continue
            states = torch.where(mask[patch, pair], theirs[point][pair], own[point][pair])
            with architecture.hooked({point: partial(_put, states=states)}):
                scores, _ = _score(encoder, ids[pair.cpu()], axis)
            # As arrays: NumPy takes a tensor of one element for a number.
            patched[entry, patch.cpu().numpy(), rows[pair.cpu().numpy()]] = scores
    return Scores(male, female, patched)


def batches(n: int, size: int) -> Iterator[npt.NDArray[np.intp]]:
    """Cut the rows 0 to n - 1 into batches."""
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


def read(
    encoder: TextEncoder,
    architecture: Architecture,
    ids: torch.Tensor,
    points: Iterable[Point],
    axis: torch.Tensor,
) -> tuple[dict[Point, torch.Tensor], Double, torch.Tensor]:
    """Run prompts as they are, and read their states (n_prompts, n_tokens, width) at some points.

    Also returns their embeddings' projections on the axis, and lengths before normalisation.
    """
    states: dict[Point, torch.Tensor] = {}
    with architecture.hooked({point: partial(_take, into=states, point=point) for point in points}):
        return states, *_score(encoder, ids, axis)


def _take(states: torch.Tensor, *, into: dict[Point, torch.Tensor], point: Point) -> None:
    into[point] = states


def _put(_: torch.Tensor, *, states: torch.Tensor) -> torch.Tensor:
    return states


def _score(
    encoder: TextEncoder, ids: torch.Tensor, axis: torch.Tensor
) -> tuple[Double, torch.Tensor]:
    pooled = encoder.pool(encoder.forward_ids(ids), ids)
    lengths = torch.linalg.vector_norm(pooled, dim=1)
    return ((pooled @ axis) / lengths).double().cpu().numpy(), lengths
