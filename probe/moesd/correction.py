"""The correction of prompts and their states by gate, special token and experts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import compress, product

import numpy as np
import torch
from torch.nn import functional

from probe.arrays import Double, Float32
from probe.images.intervention import Source
from probe.moesd.draws import BaseShares, MeasuredExperts, full_allocation, minimal_allocation
from probe.moesd.experts import DIRECTIONS, Experts, expert_names
from probe.moesd.gate import CLASSES, Decision, Gate
from probe.moesd.router import MINIMAL, SERVED, Router
from probe.moesd.token import SpecialToken
from probe.moesd.unet_experts import UNetExperts
from probe.text.attributes import GENDER, Attribute, cells_of
from probe.text.encoder import TextEncoder
from probe.text.encoding.tokenization import batches_by_length

_BATCH_SIZE = 256


@dataclass(frozen=True, eq=False)
class EncoderExperts(Source):
    """Special token and experts of one text encoder."""

    token: SpecialToken
    experts: Experts
    """Experts on the text states; the identity if only the U-Net has experts."""

    def input_ids(self, prompts: Sequence[str]) -> torch.Tensor:
        """Tokenize prompts with a placeholder for the special token, (n_prompts, max_tokens)."""
        return self.token.input_ids(self.encoder, prompts)[0]

    @torch.no_grad()
    def encode_weighted(
        self, prompts: Sequence[str], weights: Double, *, encoder: TextEncoder | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode prompts with the token and apply the experts by weight, whatever the gate decides.

        ``weights`` have shape (n_prompts, n_experts); ``encoder`` is the same encoder with adapters
        loaded, such as a LoRA. Returns float32 states of shape (n_prompts, max_tokens, n_features)
        and their token ids.
        """
        encoder = self.encoder if encoder is None else encoder
        ids, places = self.token.input_ids(encoder, prompts)
        marked = self.token.states(encoder, ids, places).float().to(self.encoder.device)
        of_experts = torch.from_numpy(weights).float().to(self.encoder.device)
        return self.experts.mix(marked, of_experts), ids


@dataclass(frozen=True, eq=False)
class Correction(EncoderExperts):
    """What routing, objectives and attachments need of a trained correction.

    ``encoder`` is the text encoder that the gate reads.
    """

    gate: Gate
    unet_experts: UNetExperts | None = None
    objective: str = "both"
    """What the experts were trained for; see `probe.moesd.router.SERVED`."""
    router: Router = field(default_factory=Router)
    recipe: str = ""
    """Recipe of its training, with the settings that are not the recipe's."""
    taught: bool = False
    """Whether a classifier taught the experts to show their values."""
    measured: Mapping[str, MeasuredExperts] = field(default_factory=dict)
    """What images of the experts show, by the name of the attribute, or of the cells of several;
    without it they are drawn by the target."""
    others: tuple[EncoderExperts, ...] = ()
    """Those of the model's other text encoders, if all are corrected."""

    def __post_init__(self) -> None:
        self.router.check(self.objective, has_unet=self.unet_experts is not None)
        self.router.check_attributes(self._n_values)

    def start_on(self, encoder: TextEncoder) -> EncoderExperts:
        """Make a token and experts of the same form for another text encoder, untrained."""
        token, of = self.token, self.experts
        mark = SpecialToken.start(
            encoder, token.subjects, stands=token.stands, unlisted=token.unlisted
        )
        mark = replace(mark, language=token.language)
        experts = Experts(encoder.n_features, width=of.width, style=of.style, names=of.names)
        return EncoderExperts(encoder, mark, experts.to(encoder.device))

    @property
    def parts(self) -> tuple[EncoderExperts, ...]:
        """Tokens and experts of all corrected text encoders, those of the gate's first."""
        return (self, *self.others)

    @property
    def encoders(self) -> tuple[TextEncoder, ...]:
        """The corrected text encoders."""
        return tuple(part.encoder for part in self.parts)

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What is corrected; each value of each has an expert, in the order of `Experts.names`."""
        return self.gate.attributes

    @property
    def has_cells(self) -> bool:
        """Whether each cell of several attributes has an expert too."""
        return len(self.experts.names) > sum(len(of.values) for of in self.attributes)

    @property
    def draws_experts(self) -> bool:
        """Whether each expert produces one value, so that no single one corrects a prompt."""
        return "top1" not in SERVED[self.objective]

    @torch.no_grad()
    def correct(self, prompts: Sequence[str], states: torch.Tensor) -> torch.Tensor:
        """Correct the states of the prompts that open the gate.

        Parameters
        ----------
        prompts : sequence of str
        states : Tensor of shape (n_prompts, max_tokens, n_features)
            As `TextEncoder.states` returns them; rows of other prompts are returned bit for bit.
            If the images of a prompt draw their experts, the mean over the images is returned.
        """
        decision = self.decide(prompts, self.pool(prompts, states))
        corrected = states.clone()
        if len(rows := np.flatnonzero(decision.is_open)):
            opened = [prompts[row] for row in rows.tolist()]
            encoded, _ = self.encode_weighted(opened, self._weights(opened, decision))
            corrected[torch.from_numpy(rows)] = encoded.to(states)
        return corrected

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Float32:
        """Embed prompts after correction; shape (n_prompts, n_features), unit rows.

        Prompts that do not open the gate have the rows of `TextEncoder.embed`, bit for bit.
        """
        z = self.encoder.embed(prompts)
        decision = self.decide(prompts, z)
        if len(rows := np.flatnonzero(decision.is_open)):
            opened = [prompts[row] for row in rows.tolist()]
            weights = torch.from_numpy(self._weights(opened, decision)).float()
            ids, places = self.token.input_ids(self.encoder, opened)
            n_tokens = self.encoder.n_needed(ids)
            for of in batches_by_length(n_tokens, _BATCH_SIZE):
                batch = ids[of, : n_tokens[of].max()]
                states = self.token.states(self.encoder, batch, places[of]).float()
                corrected = self.experts.mix(states, weights[of].to(states.device))
                z[rows[of]] = _unit(self.encoder.pool(corrected, batch))
        return z

    def pool(self, prompts: Sequence[str], states: torch.Tensor) -> Float32:
        """Pool the encoder's states of prompts; shape (n_prompts, n_features), unit rows."""
        return _unit(self.encoder.pool(states.float(), self.encoder.tokenize(prompts)))

    def decide(self, prompts: Sequence[str], z: Float32 | None = None) -> Decision:
        """Ask the gate; ``z`` are the prompts' pooled states, where known."""
        return self.gate.decide(self.gate.read(self.encoder, prompts, z))

    def opened(
        self, prompts: Sequence[str], *, naming_a_person: bool = False
    ) -> dict[str, tuple[bool, ...]]:
        """List the prompts that open the gate, each with the attributes in which it is open.

        ``naming_a_person`` leaves out those of which no counterfactual can be made.
        """
        if not prompts:
            return {}
        at = self.token.subject_at
        return {
            prompt: tuple(opens)
            for prompt, opens in zip(prompts, self.decide(prompts).opens.tolist(), strict=True)
            if any(opens) and not (naming_a_person and at(prompt, is_person=True) is None)
        }

    def target(self, prompt: str, opens: Sequence[bool]) -> Double:
        """Return the target shares of a prompt, of the cells of the attributes in which it is open.

        The router's target is that of all cells, or of the first attribute: the others then have
        parity, whatever the first one's value.
        """
        n_values, target = self._n_values, self.router.target.of(prompt)
        if target.size == n_values[0]:
            others = (np.full(n, 1 / n) for n in n_values[1:])
            target = reduce(np.multiply.outer, others, target)
        return self._margin(target, opens)

    def _margin(self, cells: Double, opens: Sequence[bool]) -> Double:
        closed = tuple(axis for axis, is_open in enumerate(opens) if not is_open)
        shares: Double = cells.reshape(self._n_values).sum(axis=closed).ravel()
        return shares

    def variants(self, opens: Sequence[bool]) -> dict[str, Double]:
        """Name the experts of which each image of a prompt draws one, with their weights.

        Of a prompt that is open in several attributes these are those of cells: each has an expert
        of its own, or else those of its values are added. The weights are of all experts,
        (n_experts,).
        """
        chosen, names = [*compress(self.attributes, opens)], self.experts.names
        weights = dict(zip(names, np.eye(len(names)), strict=True))
        labels = expert_names([cells_of(chosen)])
        of_values = product(*(expert_names([attribute]) for attribute in chosen))
        return {
            label: weights[label] if label in weights else np.sum([weights[of] for of in cell], 0)
            for label, cell in zip(labels, of_values, strict=True)
        }

    def all_variants(self) -> dict[str, Double]:
        """Name the `variants` of prompts, in whichever attributes they are open."""
        some = product((True, False), repeat=len(self.attributes))
        return {name: row for of in some if any(of) for name, row in self.variants(of).items()}

    def draws(self, target: Double, opens: Sequence[bool]) -> Double:
        """Return the share of each of the `variants` with which images come nearest to a target.

        A target with independent attributes has independent draws, each by the margins of what was
        measured: their few shares have less chance in them than those of cells.
        """
        if (found := self._measured(opens)) is None:
            return target
        axes = np.flatnonzero(opens)
        if len(axes) > 1:
            cells = target.reshape([self._n_values[axis] for axis in axes])
            others = (tuple(np.delete(np.arange(len(axes)), place)) for place in range(len(axes)))
            margins = [cells.sum(axis=of) for of in others]
            if np.allclose(reduce(np.multiply.outer, margins), cells):
                alone = np.eye(len(opens), dtype=bool)[axes]
                each = [self.draws(*of) for of in zip(margins, alone.tolist(), strict=True)]
                return reduce(np.multiply.outer, each).ravel()
        return found.draws(target)

    def allocation(self, prompt: str, opens: Sequence[bool]) -> Double:
        """Return the share of a prompt's images that the base model makes, then of each variant.

        With the router ``minimal``, and a prompt whose images were counted, the experts make as few
        as reach the target; otherwise all, as far as the router's strength goes.
        """
        target, strength = self.target(prompt, opens), self.router.strength
        counts = self.router.counted.get(prompt) if self.router.kind == MINIMAL else None
        if counts is None:
            return full_allocation(self.draws(target, opens), strength=strength)
        base = BaseShares.counted(self._margin(counts, opens))
        if (found := self._measured(opens)) is None:
            return minimal_allocation(target, base.shares, strength=strength)
        return found.beside(base, target, strength=strength)

    @property
    def _n_values(self) -> list[int]:
        return [len(attribute.values) for attribute in self.attributes]

    def _measured(self, opens: Sequence[bool]) -> MeasuredExperts | None:
        found = self.measured.get(cells_of(self.attributes).name)
        return found if found is None or all(opens) else found.margin(opens)

    @torch.no_grad()
    def routes(self, prompts: Sequence[str]) -> list[str]:
        """Name the U-Net expert of each prompt; empty for the base model."""
        if self.unet_experts is None or not prompts:
            return [""] * len(prompts)
        return self.routes_of(
            self.decide(prompts, self.pool(prompts, self.encoder.states(prompts)))
        )

    def routes_of(self, decision: Decision) -> list[str]:
        """Name the U-Net expert of each prompt of a decision, as `routes` does."""
        experts = self.unet_experts
        return [
            experts.route(CLASSES.index(name) - 1) if experts and name in CLASSES[1:3] else ""
            for name in decision.classes
        ]

    def name_expert(self, prompt: str, route: str) -> str:
        """Name the expert of a prompt of a class, or how each of its images draws one."""
        if not (opens := self.opened([prompt]).get(prompt)):
            return "base"
        if not self.draws_experts:
            return DIRECTIONS[CLASSES.index(route) - 1]
        names = [of.name for of in compress(self.attributes, opens)]
        of = "" if names == [GENDER.name] else f" of {' and of '.join(names)}"
        return f"one{of} for each image ({self.router.kind})"

    def _weights(self, opened: Sequence[str], decision: Decision) -> Double:
        """Weights of the experts for the prompts of a decision that open the gate."""
        if not self.draws_experts:
            return decision.weights[decision.is_open]
        rows = []
        for prompt, opens in zip(opened, decision.opens[decision.is_open], strict=True):
            _, *shares = self.allocation(prompt, opens)
            rows.append(shares @ np.stack([*self.variants(opens).values()]))
        weights: Double = np.stack(rows)  # the mean over the images
        return weights


def _unit(pooled: torch.Tensor) -> Float32:
    return functional.normalize(pooled, dim=1).detach().cpu().numpy()
