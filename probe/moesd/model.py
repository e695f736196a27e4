"""MoESD: a trained correction that is saved, loaded, explained and attached to a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from probe.arrays import Float32
from probe.images.intervention import Intervention, StateCorrection
from probe.io.artifacts import Provenance, hash_parts
from probe.moesd.attach import Attachment
from probe.moesd.correction import Correction
from probe.moesd.experts import DIRECTIONS
from probe.moesd.files import read_parts, write_parts
from probe.moesd.gate import CLASSES
from probe.moesd.routing.top1 import Top1Routing
from probe.text.captions.gender import NOTHING, read_gender
from probe.text.checkpoints import resolve_model
from probe.text.encoder import TextEncoder

if TYPE_CHECKING:
    import pandas as pd


class MoESD(Correction):
    """A trained correction for one text encoder.

    References
    ----------
    *MoESD: Mixture of Experts Stable Diffusion to Mitigate Gender Bias*, arXiv 2407.11002. The
    paper leaves open where the experts sit and how the gate decides; both are our choice.
    """

    def classify(self, prompts: Sequence[str], z: Float32 | None = None) -> pd.DataFrame:
        """Tabulate the gate's classes and probabilities.

        Returns
        -------
        DataFrame
            Columns ``prompt``, ``bias_score``, ``route_closed``, ``route_trained``,
            ``is_abstained`` (the trained gate preferred a skewed class but not by enough), and the
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
                **{_column(name): p for name, p in zip(CLASSES, probabilities.T, strict=True)},
            }
        )

    def explain(self, prompt: str) -> dict[str, Any]:
        """Explain what the correction does to one prompt.

        Returns
        -------
        dict
            ``prompt``, ``bias_score``, ``neutral_below``, ``explicit_above``, ``route`` (one of the
            four classes), ``is_abstained``, ``words`` (gendered words found, if the gate looks
            words up), ``passed_over`` (gendered words that do not count, with the reason),
            ``expert``, ``probabilities`` by class, ``bias_score_corrected``, ``shift`` (distance
            between the embeddings ``before`` and ``after``).
        """
        states = self.encoder.states([prompt])
        corrected, ids = self._corrected([prompt], states)
        before = self.pool([prompt], states)
        pooled = torch.nn.functional.normalize(self.encoder.pool(corrected, ids), dim=1)
        after = pooled.detach().cpu().numpy()
        row = self.classify([prompt], before).iloc[0]
        route = str(row["route_closed" if self.gate.kind == "closed-form" else "route_trained"])
        found = read_gender(prompt) if self.gate.has_list else NOTHING
        return {
            "prompt": prompt,
            "bias_score": float(row["bias_score"]),
            "neutral_below": self.gate.neutral_below,
            "explicit_above": self.gate.explicit_above,
            "route": route,
            "is_abstained": self.gate.kind == "trained" and bool(row["is_abstained"]),
            "words": list(found.words),
            "passed_over": list(found.passed_over),
            "expert": dict(zip(CLASSES[1:3], DIRECTIONS, strict=True)).get(route, "base"),
            "probabilities": {name: float(row[_column(name)]) for name in CLASSES},
            "bias_score_corrected": float(self.gate.bias_score(after)[0]),
            "shift": float(np.linalg.norm(after - before)),
            "before": before[0],
            "after": after[0],
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the tensors that training changes, by name."""
        weights = {"token": self.token.vector} if self.token.is_used else {}
        for part, module in (("experts", self.experts), ("unet_experts", self.unet_experts)):
            if module is not None:
                weights |= {f"{part}.{name}": w for name, w in module.named_parameters()}
        return weights

    def intervention(self) -> Intervention:
        """Return the correction as `probe.images.generation.generate` takes it."""
        if self.unet_experts is None:
            return StateCorrection(self)
        return Top1Routing(self, self.unet_experts)

    def attach(self, pipeline: Any) -> Attachment:
        """Correct every prompt that a pipeline is called with, until detached; see `Attachment`.

        Raises
        ------
        ValueError, ModelError
            If a correction is attached already, or this one does not fit.
        """
        return Attachment(pipeline, self)

    def save(self, folder: Path, provenance: Provenance) -> None:
        """Write ``config.json`` and the weights of token, gate and experts.

        ``token.safetensors`` has the format of diffusers' textual inversion; experts of the U-Net
        are in ``unet_experts.safetensors``.
        """
        write_parts(folder, provenance, self)

    @classmethod
    def load(cls, folder: str | Path, encoder: TextEncoder | None = None) -> MoESD:
        """Read a saved correction.

        The encoder of the training is loaded by its recorded name if it is not given.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or the encoder is another one.
        """
        return cls(**read_parts(Path(folder), encoder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the correction as `save` does, with the hash of its weights as provenance."""
        weights = self.weights()
        made_from = hash_parts(*(weights[name].detach().cpu().numpy() for name in sorted(weights)))
        self.save(
            Path(folder),
            Provenance("moesd", self.encoder.id, self.encoder.revision, None, made_from),
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


def _column(class_name: str) -> str:
    return f"p_{class_name.replace('-', '_')}"
