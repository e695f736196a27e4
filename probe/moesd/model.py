"""MoESD: token, gate and experts as one correction, saved, loaded and attached to a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from probe.arrays import Float32
from probe.images.intervention import Intervention, StateCorrection
from probe.io.artifacts import Provenance, hash_parts
from probe.moesd.attach import Attachment
from probe.moesd.expert_routing import ExpertRouting
from probe.moesd.experts import Experts
from probe.moesd.files import read_parts, write_parts
from probe.moesd.gate import CLASSES, Decision, Gate
from probe.moesd.token import SpecialToken
from probe.moesd.unet.experts import UNetExperts
from probe.text.captions.gender import NOTHING, read_gender
from probe.text.checkpoints import resolve_model
from probe.text.encoder import TextEncoder

if TYPE_CHECKING:
    import pandas as pd

Matrix64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MoESD:
    """A trained correction for one text encoder.

    References
    ----------
    *MoESD: Mixture of Experts Stable Diffusion to Mitigate Gender Bias*, arXiv 2407.11002. The
    paper leaves open where the experts sit and how the gate's classes are told apart; what stands
    here is our choice.
    """

    encoder: TextEncoder
    token: SpecialToken
    gate: Gate
    experts: Experts
    """Those on the states; the identity if the correction sits in the U-Net alone."""
    unet_experts: UNetExperts | None = None
    """Those in the U-Net, if there are any."""

    def correct(self, prompts: Sequence[str], states: torch.Tensor) -> torch.Tensor:
        """Correct the states of the prompts for which the gate opens.

        Parameters
        ----------
        prompts : sequence of str
        states : Tensor of shape (n_prompts, max_tokens, n_features)
            What `TextEncoder.states` gives for them.

        Returns
        -------
        Tensor of shape (n_prompts, max_tokens, n_features)
            The rows of closed prompts are those of ``states``, bit for bit.
        """
        return self._corrected(prompts, states)[0]

    def opened(self, prompts: Sequence[str]) -> list[str]:
        """List the prompts for which the gate opens, in their order."""
        if not prompts:
            return []
        is_open = self.decide(prompts).is_open
        return [prompt for prompt, opens in zip(prompts, is_open, strict=True) if opens]

    @torch.no_grad()
    def send(self, prompts: Sequence[str], toward_male: torch.Tensor) -> torch.Tensor:
        """Send prompts, marked with the token, to the expert that is named, whatever the gate says.

        Parameters
        ----------
        prompts : sequence of str
        toward_male : bool Tensor of shape (n_prompts,)
            True sends a prompt to ``toward-male``, False to ``toward-female``.

        Returns
        -------
        Tensor of shape (n_prompts, max_tokens, n_features)
        """
        ids, places = self.token.input_ids(self.encoder, prompts)
        marked = self.token.states(self.encoder, ids, places)
        sent: torch.Tensor = self.experts(marked, toward_male)
        return sent

    @torch.no_grad()
    def move(
        self, prompts: Sequence[str], weights: Matrix64, *, encoder: TextEncoder | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mark prompts with the token, encode them, and move their states by weighted experts.

        Parameters
        ----------
        prompts : sequence of str
        weights : ndarray of shape (n_prompts, 2)
            Of ``toward-female`` and ``toward-male``, as in `Decision.weights`.
        encoder : TextEncoder, optional
            What encodes them, if it is not the one that was trained on but the same with something
            loaded into it, such as a LoRA.

        Returns
        -------
        states : float32 Tensor of shape (n_prompts, max_tokens, n_features)
        ids : int64 Tensor of shape (n_prompts, max_tokens)
            The token ids that they stand for.
        """
        encoder = self.encoder if encoder is None else encoder
        ids, places = self.token.input_ids(encoder, prompts)
        marked = self.token.states(encoder, ids, places).float().to(self.encoder.device)
        shares = torch.from_numpy(weights).float().to(self.encoder.device)
        moved: torch.Tensor = self.experts.mix(marked, shares)
        return moved, ids

    def embed(self, prompts: Sequence[str]) -> Float32:
        """Embed prompts as the image model gets them; shape (n_prompts, n_features), unit rows."""
        corrected, ids = self._corrected(prompts, self.encoder.states(prompts))
        return _unit(self.encoder.pool(corrected, ids))

    def pool(self, prompts: Sequence[str], states: torch.Tensor) -> Float32:
        """Pool the encoder's states of prompts; shape (n_prompts, n_features), unit rows."""
        return _unit(self.encoder.pool(states.float(), self.encoder.tokenize(prompts)))

    def decide(self, prompts: Sequence[str], z: Float32 | None = None) -> Decision:
        """Ask the gate, by its own kind; ``z`` are the prompts' pooled states, where known."""
        return self.gate.decide(self.gate.read(self.encoder, prompts, z))

    def classify(self, prompts: Sequence[str], z: Float32 | None = None) -> pd.DataFrame:
        """Say what the gate makes of prompts.

        Returns
        -------
        DataFrame
            Columns ``prompt``, ``bias_score``, ``route_closed``, ``route_trained``,
            ``is_abstained`` (the trained gate leaned to opening and was not sure enough), and the
            calibrated probabilities ``p_explicit``, ``p_male_skewed``, ``p_female_skewed``,
            ``p_neutral``.
        """
        import pandas as pd

        reading = self.gate.read(self.encoder, prompts, z)
        trained = self.gate.decide(reading, kind="trained")
        probabilities = self.gate.probabilities(reading)
        return pd.DataFrame(
            {
                "prompt": list(prompts),
                "bias_score": self.gate.bias_score(reading.z),
                "route_closed": self.gate.classify(reading, kind="closed-form"),
                "route_trained": trained.classes,
                "is_abstained": trained.is_abstained,
                **{
                    f"p_{name.replace('-', '_')}": probabilities[:, column]
                    for column, name in enumerate(CLASSES)
                },
            }
        )

    def explain(self, prompt: str) -> dict[str, Any]:
        """Say what happens to one prompt, and why.

        Returns
        -------
        dict
            ``prompt``, ``bias_score``, ``neutral_below``, ``explicit_above``, ``route`` (one of the
            four classes), ``is_abstained``, ``words`` (those by which the prompt says a gender, as
            far as the gate looks words up) and ``passed_over`` (words and why they do not),
            ``expert``, ``probabilities`` by class, ``bias_score_corrected``, ``shift`` (the
            distance between the two embeddings), and the embeddings ``before`` and ``after``.
        """
        states = self.encoder.states([prompt])
        corrected, ids = self._corrected([prompt], states)
        before = self.pool([prompt], states)
        after = _unit(self.encoder.pool(corrected, ids))
        row = self.classify([prompt], before).iloc[0]
        route = str(row["route_closed" if self.gate.kind == "closed-form" else "route_trained"])
        said = read_gender(prompt) if self.gate.has_list else NOTHING
        return {
            "prompt": prompt,
            "bias_score": float(row["bias_score"]),
            "neutral_below": self.gate.neutral_below,
            "explicit_above": self.gate.explicit_above,
            "route": route,
            "is_abstained": self.gate.kind == "trained" and bool(row["is_abstained"]),
            "words": list(said.words),
            "passed_over": list(said.passed_over),
            "expert": {CLASSES[1]: "toward-female", CLASSES[2]: "toward-male"}.get(route, "base"),
            "probabilities": {name: float(row[f"p_{name.replace('-', '_')}"]) for name in CLASSES},
            "bias_score_corrected": float(self.gate.bias_score(after)[0]),
            "shift": float(np.linalg.norm(after - before)),
            "before": before[0],
            "after": after[0],
        }

    @torch.no_grad()
    def routes(self, prompts: Sequence[str]) -> list[str]:
        """Name the expert of the U-Net that each prompt is sent to; empty for the base model."""
        if self.unet_experts is None or not prompts:
            return [""] * len(prompts)
        z = self.pool(prompts, self.encoder.states(prompts))
        return self.routes_of(self.decide(prompts, z), z)

    def routes_of(self, decision: Decision, z: Float32) -> list[str]:
        """Name the expert of the U-Net for prompts of which the gate has decided; as `routes`."""
        if (inner := self.unet_experts) is None:
            return [""] * len(z)
        bias_scores = self.gate.bias_score(z)
        return [
            inner.route(name == CLASSES[2], abs(bias_score)) if name in CLASSES[1:3] else ""
            for name, bias_score in zip(decision.classes, bias_scores, strict=True)
        ]

    def weights(self) -> dict[str, torch.Tensor]:
        """Name everything that is trained by gradients; the tensors are those in use."""
        modules = {"experts": self.experts, "unet_experts": self.unet_experts}
        return {
            **({"token": self.token.vector} if self.token.is_used else {}),
            **{
                f"{part}.{name}": weight
                for part, module in modules.items()
                if module is not None
                for name, weight in module.named_parameters()
            },
        }

    def intervention(self) -> Intervention:
        """Give the correction as `probe.images.generation.generate` takes it."""
        if self.unet_experts is None:
            return StateCorrection(self)
        return ExpertRouting(self, self.unet_experts)

    def attach(self, pipeline: Any) -> Attachment:
        """Correct every prompt that a pipeline is called with, until detached.

        Returns
        -------
        Attachment
            A context manager; ``detach()`` gives the pipeline back as it was.

        Raises
        ------
        ValueError, ModelError
            If a correction is attached already, or this one does not fit.
        """
        return Attachment(pipeline, self)

    def save(self, folder: Path, provenance: Provenance) -> None:
        """Write ``config.json`` and the weights of token, gate and experts.

        Experts of the U-Net are ``unet_experts.safetensors``. ``token.safetensors`` has the format
        of diffusers' textual inversion.
        """
        write_parts(
            folder,
            provenance,
            token=self.token,
            gate=self.gate,
            experts=self.experts,
            unet_experts=self.unet_experts,
        )

    @classmethod
    def load(cls, folder: str | Path, encoder: TextEncoder | None = None) -> MoESD:
        """Read a saved correction.

        Parameters
        ----------
        folder : path
            What `save` wrote.
        encoder : TextEncoder, optional
            The encoder it was trained on; opened by its recorded name if not given.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or the encoder is another one.
        """
        return cls(**read_parts(Path(folder), encoder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the correction as `save` does, under the names of its encoder and weights."""
        weights = self.weights()
        made_from = hash_parts(*(weights[name].detach().cpu().numpy() for name in sorted(weights)))
        self.save(
            Path(folder),
            Provenance(
                kind="moesd",
                model=self.encoder.id,
                revision=self.encoder.revision,
                seed=None,
                made_from=made_from,
            ),
        )

    @classmethod
    def from_pretrained(cls, model: str | Path, encoder: TextEncoder | None = None) -> MoESD:
        """Read a correction from a folder or a hub id; see `load`.

        Raises
        ------
        ModelError, ArtifactError
            If there is none, it is damaged, or the encoder is another one.
        """
        return cls.load(resolve_model(model), encoder)

    @torch.no_grad()
    def _corrected(
        self, prompts: Sequence[str], states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Correct states; return them with the token ids they now stand for."""
        ids = self.encoder.tokenize(prompts)
        decision = self.decide(prompts, self.pool(prompts, states))
        is_open = decision.is_open
        corrected = states.clone()
        if is_open.any():
            rows = torch.from_numpy(np.flatnonzero(is_open))
            chosen = [prompts[row] for row in rows]
            moved, ids[rows] = self.move(chosen, decision.weights[is_open])
            corrected[rows] = moved.to(states)
        return corrected, ids


def _unit(pooled: torch.Tensor) -> Float32:
    normalized = torch.nn.functional.normalize(pooled, dim=1)
    return normalized.detach().cpu().numpy()
