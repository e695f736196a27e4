"""Unified Concept Editing: closed-form edits of cross-attention until concepts are balanced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from probe.baselines import BASELINES
from probe.baselines.method import Material, Method, Trial
from probe.baselines.weights import EditedWeights
from probe.baselines.words import SIDES
from probe.text.templates import fill

N_ROUNDS = 8
"""Maximum number of edits, each tried on new images; up to 20 in the published code."""
STEP = 0.2
"""Change of a concept's weights for a share that is off by 1; 0.1 in the published code."""
CLOSE_ENOUGH = 0.1
"""A concept whose share is within this distance of 1/2 is not edited."""


def edit_projection(
    weight: torch.Tensor,
    contexts: torch.Tensor,
    values: torch.Tensor,
    kept: torch.Tensor,
    *,
    damping: float = 0.5,
    preserve: float = 0.1,
) -> torch.Tensor:
    """Edit a projection so that it maps contexts to new values, and other states as before.

    ``(d W + sum_i v_i c_i^T + p sum_j W k_j k_j^T) (d I + sum_i c_i c_i^T + p sum_j k_j k_j^T)^-1``

    with W the weight, (n_out, n_features), d its ``damping``, c the states to be mapped to the new
    values v ((n, n_features) and (n, n_out); ``contexts @ weight.T`` changes nothing), k the states
    to be mapped as before, and p the weight to ``preserve`` them.

    Gandikota, Orgad, Belinkov, Materzyńska, Bau, *Unified Concept Editing in Diffusion Models*,
    WACV 2024, equation 7; the weights are those of the published code.
    """
    w, c, v, k = (of.double() for of in (weight, contexts, values, kept))
    regular = damping * torch.eye(w.shape[1], dtype=w.dtype, device=w.device) + preserve * k.T @ k
    edited: torch.Tensor = torch.linalg.solve(regular + c.T @ c, w @ regular + v.T @ c, left=False)
    return edited.to(weight)


@BASELINES.register("uce")
def build(material: Material) -> Method:
    """Shift the values of each training occupation towards the gender its images lack.

    The value of an occupation's state c becomes ``W c + sum_k w_k |W c| u_k``, u_k being the unit
    value of the same prompt with gender k stated. The weights w_k start at 0; each round adds
    `STEP` times the missing share (and subtracts half of `STEP` for a gender that is too frequent),
    until every training occupation is balanced. The fairest round is kept.

    Gandikota et al. (see `edit_projection`), section 4.2, and their code. All key and value
    projections are edited. Concepts are the training occupations; gendered words and objects are
    preserved, never a held-out occupation.
    """
    template = material.lexicon.neutral_templates[0]
    table = material.prompts.table
    subjects = list(dict.fromkeys(table.loc[table["group"] == "neutral", "subject"]))
    concepts = _states(material, [fill(template, subject=name) for name in subjects])
    words = material.lexicon.adjectives[0]
    stated = {
        side: _states(material, [fill(template, subject=f"{word} {name}") for name in subjects])
        for side, word in zip(SIDES, (words.female, words.male), strict=True)
    }
    kept = _states(material, _preserved(material)).flatten(0, 1)
    projections = dict(_cross_attention(material.pipeline.unet))
    weights = torch.zeros(len(subjects), 2)
    rounds: list[tuple[Trial, EditedWeights]] = []
    for _ in range(N_ROUNDS + 1):  # the first is the base model
        method = EditedWeights(
            {
                name: edit_projection(
                    of, concepts.flatten(0, 1), _values(of, concepts, stated, weights), kept
                )
                for name, of in projections.items()
            }
        )
        rounds.append((material.try_out(method), method))
        step = _step(rounds[-1][0], subjects)
        if not step.any():
            break
        weights += step
    best = min(range(len(rounds)), key=lambda row: rounds[row][0].mad)
    n_weights = sum(of.numel() for of in projections.values())
    return Method(rounds[best][1], n_trainable=n_weights, chosen={"n_rounds": best})


def _values(
    weight: torch.Tensor,
    concepts: torch.Tensor,  # (n_concepts, n_tokens, n_features)
    stated: dict[str, torch.Tensor],
    weights: torch.Tensor,  # (n_concepts, 2)
) -> torch.Tensor:
    original = concepts @ weight.T  # (n_concepts, n_tokens, n_out)
    length = original.flatten(1).norm(dim=1)[:, None, None]
    moved = original
    for column, side in enumerate(SIDES):
        value = stated[side] @ weight.T
        unit = value / value.flatten(1).norm(dim=1)[:, None, None]
        moved = moved + weights[:, column, None, None].to(original) * length * unit
    return moved.flatten(0, 1)


def _step(trial: Trial, subjects: Sequence[str]) -> torch.Tensor:
    """Change of each concept's weights, shape (n_concepts, 2)."""
    share = dict(zip(trial.subjects, trial.share_female, strict=True))
    lacking = np.array([[0.5 - share[name], share[name] - 0.5] for name in subjects])
    step = np.where(lacking > 0, STEP * lacking, -STEP / 2)
    step[np.abs(lacking[:, 0]) <= CLOSE_ENOUGH] = 0.0
    return torch.from_numpy(step).float()


def _preserved(material: Material) -> list[str]:
    lexicon = material.lexicon
    people = [word for pair in lexicon.pairs for word in (pair.female, pair.male)]
    return [fill(lexicon.neutral_templates[0], subject=of) for of in (*people, *lexicon.objects)]


def _states(material: Material, prompts: Sequence[str]) -> torch.Tensor:
    return material.encoder.states(prompts).to(material.pipeline.unet.device)


def _cross_attention(unet: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every key and value projection of the prompt, by the name of its weights."""
    for name, parameter in unet.named_parameters():
        if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
            yield name, parameter.detach()
