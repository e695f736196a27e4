"""Methods on the states of all text encoders: LEACE, DebiasVL, FairPCA and steering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from probe.arrays import Double, Float32
from probe.baselines.method import BASELINES, Builder, Material, Method, on_each
from probe.baselines.words import SIDES, Lookup, draw_values
from probe.errors import DegenerateDataError
from probe.images.intervention import Condition, Intervention
from probe.latent.erasure import CalibratedProjection
from probe.latent.erasure.leace import LeaceEraser
from probe.text.attributes import GENDER, cells_of
from probe.text.templates import fill

Edit = Callable[[Float32], npt.NDArray[Any]]
"""Rows of shape (n, n_features) -> edited rows of the same shape."""

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Tried on validation occupations; 1 is the mean difference of prompts of a value and of others."""


class EditedStates(Intervention):
    """Apply one map to the state of every token of every prompt, from position ``first`` on.

    The state at position 0, the start of text, is the same for every prompt of a causal encoder and
    carries no gender.
    """

    def __init__(self, edit: Edit, *, first: int = 1) -> None:
        self._edit, self._first = edit, first

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit all rows."""
        return edited(states, self._edit, first=self._first)


class RandomValue(Intervention):
    """Base of methods that draw a value for every image, whatever its prompt."""

    name: str
    values: tuple[str, ...] = SIDES

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Draw one of the values for every image."""
        drawn = draw_values(prompts, seeds, name=self.name, values=self.values)
        return [Condition(prompt, value) for prompt, value in zip(prompts, drawn, strict=True)]


class Steering(RandomValue):
    """Add a multiple of the drawn value's direction at every position after the first.

    ``directions``, (n_values, n_features), point from the mean of the other values to each;
    ``strength`` is in their lengths.
    """

    name = "steering"

    def __init__(
        self, directions: torch.Tensor, *, strength: float, values: tuple[str, ...] = SIDES
    ) -> None:
        self._directions, self._strength, self.values = directions, strength, values

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Shift the states of each condition with a value towards it."""
        moved = states.clone()
        for row, condition in enumerate(conditions):
            if condition.route:
                direction = self._directions[self.values.index(condition.route)]
                moved[row, 1:] += self._strength * direction.to(states)
        return moved


class FairPCA:
    """The directions of most variance along which groups have equal means.

    With Z the centred indicators of the groups and X the centred rows, U maximises ``trace(U^T X^T
    X U)`` among orthonormal U with ``Z^T X U = 0``: principal components in the null space of
    ``X^T Z``.

    ``kept`` is the share of the dimensions that is kept, above 0 and below 1. `fit` finds
    ``center_``, the mean of all rows, ``basis_``, orthonormal rows of shape (n_kept, n_features),
    and ``removed_means_``, (n_groups, n_features): what is removed from the mean of each group.

    Kleindessner, Donini, Russell, Zafar, *Efficient fair PCA for fair representation learning*,
    AISTATS 2023, section 3.
    """

    def __init__(self, *, kept: float = 0.78) -> None:
        self.kept = kept

    def fit(self, X: Float32, y: Double) -> FairPCA:
        """Learn the subspace from rows of shape (n, n_features) and the number of their group."""
        self.center_: Double = X.mean(axis=0, dtype=np.float64)
        centered = X - self.center_
        means = np.stack([centered[y == group].mean(axis=0) for group in np.unique(y)])
        gaps = means[1:] - means[0]
        lengths = np.array([np.linalg.norm(gap) for gap in gaps])
        if not (is_gap := lengths > 1e-12 * np.abs(X).max()).any():
            raise DegenerateDataError("group means coincide: there is no gap to remove")
        units = (gaps[is_gap] / lengths[is_gap, None]).T
        # an orthonormal basis of the orthogonal complement of the gaps
        null = np.linalg.qr(np.hstack([units, np.eye(len(units))]))[0][:, units.shape[1] :]
        _, axes = np.linalg.eigh(null.T @ (centered.T @ centered) @ null)  # ascending
        n_kept = min(max(1, round(self.kept * len(units))), null.shape[1])
        self.basis_: Double = (null @ axes[:, -n_kept:]).T
        self.removed_means_: Double = means - means @ self.basis_.T @ self.basis_
        return self

    def transform(self, X: Float32) -> Double:
        """Return ``center + U U^T (x - center)`` of each row."""
        projected: Double = self.center_ + (X - self.center_) @ self.basis_.T @ self.basis_
        return projected


class FairImagen(RandomValue):
    """Project every state by FairPCA, and add one group's mean of the removed part.

    The group is drawn from the image's seed, with equal probability. ``pca`` was fitted with the
    groups in the order of ``values``: the male group as 1.
    """

    name = "fair-pca"

    def __init__(self, pca: FairPCA, values: tuple[str, ...] = SIDES) -> None:
        self._pca, self.values = pca, values

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Project all states, then add the mean of each condition's group."""
        projected = edited(states, self._pca.transform)
        means = dict(zip(self.values, self._pca.removed_means_, strict=True))
        added = np.stack([means[of.route] for of in conditions])
        projected[:, 1:] += torch.from_numpy(added).to(projected)[:, None]
        return projected


class OnlyOpen(Intervention):
    """Apply a method on words or states to open prompts only."""

    def __init__(self, method: Intervention, lookup: Lookup) -> None:
        self._method, self._lookup = method, lookup
        self.source = method.source
        self.others = [OnlyOpen(other, lookup) for other in method.others]

    def conditions(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Condition]:
        """Take the method's conditions for open prompts."""
        return [
            condition if self._lookup.is_open(prompt) else Condition(prompt)
            for prompt, condition in zip(
                prompts, self._method.conditions(prompts, seeds), strict=True
            )
        ]

    def correct(self, conditions: Sequence[Condition], states: torch.Tensor) -> torch.Tensor:
        """Edit the states of open prompts."""
        is_open = torch.tensor([self._lookup.is_open(of.prompt) for of in conditions])
        corrected = self._method.correct(conditions, states)
        return torch.where(is_open[:, None, None].to(states.device), corrected, states)


def behind_lookup(build: Builder) -> Builder:
    """Make a method act on open prompts only; the look-up in place of a gate is our addition."""

    def build_gated(material: Material) -> Method:
        method = build(material)
        gated = OnlyOpen(method.intervention, Lookup(material.lexicon, material.attributes))
        return replace(method, intervention=gated, oracle="prompts")

    return build_gated


def edited(states: torch.Tensor, edit: Edit, *, first: int = 1) -> torch.Tensor:
    """Apply a map of rows to the states of shape (n_prompts, n_tokens, n_features)."""
    tail = states[:, first:]
    rows = tail.reshape(-1, states.shape[-1]).float().cpu().numpy()
    changed = torch.from_numpy(np.asarray(edit(rows), dtype=np.float32))
    return torch.cat([states[:, :first], changed.to(states).reshape(tail.shape)], dim=1)


def explicit_prompts(material: Material) -> tuple[list[str], Double]:
    """Return the explicit prompts of training occupations, and the group of each.

    A group is the number of a value, or of a cell of several attributes; of gender, 1 is male. All
    have equally many prompts.
    """
    of = cells_of(material.attributes)
    if of.name == GENDER.name:
        rows = np.concatenate(pairs := material.prompts.pairs())
        prompts = [material.prompts.prompts[row] for row in rows]
        return prompts, np.repeat([1.0, 0.0], len(pairs[0]))
    lexicon = material.lexicon
    jobs, neutral = lexicon.occupations_of("train"), lexicon.templates["train"].neutral[0]
    said = [f"{word} {job}" for word, job in product(of.words, jobs)]
    groups = np.repeat(np.arange(len(of.words), dtype=float), len(jobs))
    return [fill(neutral, subject=subject) for subject in said], groups


def explicit_states(material: Material) -> tuple[Float32, Double]:
    """Return the token states of `explicit_prompts`, and their groups.

    The states have the shape (n_prompts * (n_tokens - 1), n_features): every one after the first,
    padding included, since it conditions the image model too.
    """
    prompts, groups = explicit_prompts(material)
    states = material.encoder.states(prompts)[:, 1:].cpu().numpy()
    return states.reshape(-1, states.shape[-1]), np.repeat(groups, states.shape[1])


@BASELINES.register("leace")
def leace(material: Material) -> Method:
    """Fit LEACE on the states of explicit prompts, and edit those of every prompt.

    Belrose et al., *LEACE: Perfect linear concept erasure in closed form*, NeurIPS 2023, theorem
    4.3. Fitting it on the states of all positions together, and applying it to all but the start of
    text, is our choice.
    """
    erasers = [LeaceEraser().fit(*explicit_states(of)) for of in material.on_each_encoder]
    n_weights = sum(int(of.probes_.size + of.moves_.size + of.center_.size) for of in erasers)
    whole = on_each(material, [EditedStates(of.transform) for of in erasers])
    return Method(whole, words="training", n_trainable=n_weights)


leace_lookup = BASELINES.add("leace-lookup", behind_lookup(leace))


@BASELINES.register("debias-vl")
def debias_vl(material: Material) -> Method:
    """Fit ``P = (I + lambda M)^-1`` on pairs, and replace every state x by ``P x``.

    Chuang et al., *Debiasing Vision-Language Models via Biased Prompts*, arXiv 2302.00070, section
    5: fitted on the normalised end-of-text states of "a photo of a male / female {occupation}" with
    lambda = 500, applied to all positions of every prompt. The pairs are the lexicon's.
    """
    male, female = material.prompts.pairs()
    vectors = [of.encoder.embed(of.prompts.prompts) for of in material.on_each_encoder]
    found = [CalibratedProjection(strength=500.0).fit(z[male], z[female]) for z in vectors]
    n_weights = sum(int(of.basis_.size + of.shrinkage_.size) for of in found)
    whole = on_each(material, [EditedStates(of.transform, first=0) for of in found])
    return Method(whole, words="training", n_trainable=n_weights)


@BASELINES.register("steering")
def steering(material: Material) -> Method:
    """Use mean differences of explicit prompts, at the fairest strength that keeps the subject.

    Of `STRENGTHS`, the fairest on new images of validation occupations among those that recognise
    at most one percentage point fewer subjects than the weakest.

    Li, Shen, Torr, Tresp, Gu, *Self-Discovering Interpretable Diffusion Latent Directions for
    Responsible Text-to-Image Generation*, CVPR 2024, section 4.2: a direction of each value is
    added, the value being drawn with equal probability. There it is learned in the denoiser's
    bottleneck; the mean difference of the prompt's states is our choice.
    """
    directions = [_mean_differences(of) for of in material.on_each_encoder]
    values = tuple(cells_of(material.attributes).values)
    methods = {
        strength: on_each(
            material, [Steering(of, strength=strength, values=values) for of in directions]
        )
        for strength in STRENGTHS
    }
    trials = {
        strength: material.try_out(method, material.validation)
        for strength, method in methods.items()
    }
    least = trials[STRENGTHS[0]].recognised - 0.01
    allowed = [strength for strength in STRENGTHS if trials[strength].recognised >= least]
    best = min(allowed, key=lambda strength: trials[strength].mad)
    return Method(
        methods[best],
        words="training",
        n_trainable=sum(of[1:].numel() for of in directions),  # their sum is 0
        chosen={"strength": best},
    )


def _mean_differences(material: Material) -> torch.Tensor:
    """Mean pooled state of each value's prompts minus that of others, (n_values, n_features)."""
    prompts, groups = explicit_prompts(material)
    states, ids = material.encoder.states(prompts), material.encoder.tokenize(prompts)
    pooled = material.encoder.pool(states, ids)
    means = torch.stack(
        [pooled[torch.from_numpy(groups == group)].mean(dim=0) for group in np.unique(groups)]
    )
    others = [means[np.arange(len(means)) != row].mean(dim=0) for row in range(len(means))]
    return means - torch.stack(others)


steering_lookup = BASELINES.add("steering-lookup", behind_lookup(steering))


@BASELINES.register("fair-pca")
def fair_pca(material: Material) -> Method:
    """Fit FairPCA on the states of explicit prompts.

    Fu et al., *FairImagen: Post-Processing for Bias Mitigation in Text-to-Image Models*, NeurIPS
    2025: FairPCA on the prompt embedding and empirical noise in the removed part. The paper draws
    that part from samples; here it is a group's mean. We fit on the states of all positions, and
    keep the share of dimensions of its published setting (600 of 768).
    """
    found = [FairPCA().fit(*explicit_states(of)) for of in material.on_each_encoder]
    n_weights = sum(int(of.basis_.size + of.center_.size + of.removed_means_.size) for of in found)
    values = tuple(cells_of(material.attributes).values)
    whole = on_each(material, [FairImagen(of, values) for of in found])
    return Method(whole, words="training", n_trainable=n_weights)
