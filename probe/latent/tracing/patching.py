"""Activation patching: which state of a male prompt makes a female one male."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from probe.arrays import Vector
from probe.latent.directions import BiasDirection
from probe.latent.tracing.bands import occupation_draws, shares_of_difference
from probe.latent.tracing.by_layer import COLUMNS
from probe.latent.tracing.counterfactuals import align, axis_of, patched_scores
from probe.stats.resampling import BOOTSTRAP, Resampling
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet
from probe.text.recording.architecture import SITES, find_architecture
from probe.text.recording.token_roles import ROLES, TokenMask


@dataclass(frozen=True, eq=False)
class Patching:
    """What patching found, and which pairs it could not use."""

    table: pd.DataFrame
    """A row for each cell, of `COLUMNS`; see `patch_states`."""
    left_out: pd.DataFrame
    """Columns ``male``, ``female``, ``reason``: pairs whose words are at different tokens."""
    n_pairs: int
    """Pairs that were used."""


def patch_states(
    encoder: TextEncoder,
    prompts: PromptSet,
    *,
    direction: BiasDirection | Vector | None = None,
    sites: Sequence[str] = SITES,
    positions: Sequence[str] = ROLES,
    resampling: Resampling = BOOTSTRAP,
    batch_size: int = 256,
) -> Patching:
    """Measure which state carries a pair's difference to the prompt's embedding.

    The female prompt runs with its state at one layer, site and position replaced by that of its
    male counterfactual. With g the place of the prompt's embedding on the bias axis, the effect is
    ``sum(g_patched - g_female) / sum(g_male - g_female)`` over pairs: 0 where the state carries
    nothing, 1 where it alone moves the female prompt to the place of the male one.

    Parameters
    ----------
    encoder : TextEncoder
    prompts : PromptSet
        Male and female prompts in pairs. Pairs whose two prompts differ in their number of tokens,
        or in the places of their words, have no corresponding states and are left out.
    direction : BiasDirection or ndarray of shape (n_features,), optional
        The axis of g; by default the mean difference of the same pairs. For the bias score of a
        calibrated projection P give ``d - P d``.
    sites : sequence of str
        As for `probe.text.recording.record`. A residual is the whole stream up to that layer;
        attention and MLP are what one layer alone adds.
    positions : sequence of str
        Roles of tokens, of `probe.text.recording.token_roles.ROLES`, or ``"all"``. All tokens of
        the role are replaced at once; pairs without that role do not count for it.
    resampling : Resampling
    batch_size : int, default=256
        How many patched prompts run at a time.

    Returns
    -------
    Patching
        Its table has the measure ``"patching"``; ``low`` and ``high`` are 95 % bands over all
        cells together, ``n`` counts pairs.

    Raises
    ------
    DataError
        If no pair can be used, or there are fewer than 3 occupations.
    DegenerateDataError
        If the pairs do not differ on the axis.
    ValueError, ModelError
        If a site or position is not there, or the encoder's layers are not found.

    References
    ----------
    Vig et al., *Investigating Gender Bias in Language Models Using Causal Mediation Analysis*,
    NeurIPS 2020; Meng et al., *Locating and Editing Factual Associations in GPT*, NeurIPS 2022.
    """
    if unknown := [name for name in positions if name not in (*ROLES, "all")]:
        raise ValueError(f"position {unknown[0]!r} is not there; choose from {[*ROLES, 'all']}")
    architecture = find_architecture(encoder.model, encoder.conditioning, encoder.hidden)
    counterfactuals = align(encoder, prompts)
    points = [point for site in dict.fromkeys(sites) for point in architecture.points(site)]
    roles: TokenMask = np.stack([counterfactuals.roles[name] for name in positions])
    mask = torch.from_numpy(roles)[..., None]
    axis = axis_of(encoder, prompts, direction)
    scores = patched_scores(
        encoder,
        architecture,
        counterfactuals,
        dict.fromkeys(points, mask),
        axis,
        batch_size=batch_size,
    )
    draws = occupation_draws(int(counterfactuals.groups.max()) + 1, resampling=resampling)
    has_role: TokenMask = np.any(roles, axis=2)  # (n_positions, n_pairs)
    is_there: TokenMask = np.any(
        has_role, axis=1
    )  # no pair has, say, a word between: no row for it
    effect = shares_of_difference(
        (scores.patched - scores.female)[:, is_there].reshape(-1, len(counterfactuals)),
        np.tile(has_role[is_there], (len(points), 1)),
        scores.male - scores.female,
        counterfactuals.groups,
        draws,
    )
    places = [
        (layer, site, position)
        for site, layer in points
        for position, there in zip(positions, is_there, strict=True)
        if there
    ]
    table = pd.DataFrame(places, columns=["layer", "site", "position"]).join(effect)
    return Patching(
        table=table.assign(measure="patching")[list(COLUMNS)],
        left_out=counterfactuals.left_out,
        n_pairs=len(counterfactuals),
    )
