"""MoESD: a trained correction that is saved, loaded, explained and attached to a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from probe.arrays import Float32
from probe.errors import ArtifactError, ShapeError
from probe.images.intervention import Intervention
from probe.io.artifacts import Provenance, read_json, read_tensors, write_json, write_tensors
from probe.io.files import one_line
from probe.moesd.attach import Attachment
from probe.moesd.correction import Correction
from probe.moesd.draws import read_measured
from probe.moesd.experts import Experts, expert_names, with_cells
from probe.moesd.gate import FLAGS
from probe.moesd.parts import (
    GATE_SETTINGS,
    arrays_of,
    check_sizes,
    make_gate,
    read_experts,
    read_other,
    weights_of_others,
)
from probe.moesd.router import Router
from probe.moesd.routing import routed
from probe.moesd.token import TOKEN, SpecialToken
from probe.moesd.unet_experts import UNetExperts
from probe.text.attributes import GENDER, Attribute
from probe.text.captions.gender import NOTHING, read_gender
from probe.text.checkpoints import resolve_model
from probe.text.encoder import TextEncoder
from probe.text.languages import Language

if TYPE_CHECKING:
    import pandas as pd

_UNET_FILE = "unet_experts.safetensors"
_OTHERS_FILE = "other_encoders.safetensors"
_UNET_SETTINGS = ("sites", "width", "n_experts", "style")


class MoESD(Correction):
    """A trained correction, for one text encoder of a model or for all.

    `intervention` and `attach` route images as the field ``router`` says, so that the same prompt
    and seed give the same image; ``replace(moesd, router=Router("stratified"))`` changes it.

    References
    ----------
    *MoESD: Mixture of Experts Stable Diffusion to Mitigate Gender Bias*, arXiv 2407.11002. The
    paper leaves open where the experts sit and how the gate decides; both are our choice.
    """

    def classify(self, prompts: Sequence[str], z: Float32 | None = None) -> pd.DataFrame:
        """Tabulate the gate's classes and probabilities.

        Parameters
        ----------
        prompts : sequence of str
        z : ndarray of shape (n_prompts, n_features), optional
            Their pooled states, L2-normalised, where known.

        Returns
        -------
        DataFrame
            Columns ``prompt``, ``bias_score``, ``route_closed``, ``route_trained``,
            ``is_abstained`` (the trained gate preferred a skewed class but not by enough), and the
            calibrated probability of each of `Gate.classes`: ``p_explicit``, ``p_male_skewed``,
            ``p_female_skewed``, ``p_neutral``; or ``p_explicit``, ``p_open``, ``p_neutral``.
        """
        import pandas as pd

        reading = self.gate.read(self.encoder, prompts, z)
        trained = self.gate.decide(reading, kind="trained")
        probabilities = self.gate.probabilities(reading)
        return pd.DataFrame(
            {
                "prompt": list(prompts),
                "bias_score": self.gate.bias_score(reading.z),
                "route_closed": self.gate.decide(reading, kind="closed-form").classes,
                "route_trained": trained.classes,
                "is_abstained": trained.is_abstained,
                **dict(zip(map(_column, self.gate.classes), probabilities.T, strict=True)),
            }
        )

    def explain(self, prompt: str) -> dict[str, Any]:
        """Explain what the correction does to one prompt.

        Returns
        -------
        dict
            ``prompt``, ``bias_score``, ``neutral_below``, ``explicit_above``, ``route`` (one of
            `Gate.classes`), ``is_abstained``, ``left_alone`` (empty, or why whatever the
            gate says: `probe.text.captions.left_alone.reason_to_leave`), ``words`` (gendered words
            found, if the gate looks words up), ``passed_over`` (gendered words that do not count,
            with the reason), ``expert``, ``probabilities`` by class, ``bias_score_corrected``,
            ``shift`` (distance between the embeddings ``before`` and ``after``).
        """
        before, after = self.encoder.embed([prompt]), self.embed([prompt])
        row = self.classify([prompt], before).iloc[0]
        route = str(row["route_closed" if self.gate.kind == "closed-form" else "route_trained"])
        found = read_gender(prompt, self.gate.lists) if self.gate.has_list else NOTHING
        return {
            "prompt": prompt,
            "bias_score": float(row["bias_score"]),
            "neutral_below": self.gate.neutral_below,
            "explicit_above": self.gate.explicit_above,
            "route": route,
            "is_abstained": self.gate.kind == "trained" and bool(row["is_abstained"]),
            "left_alone": "".join(self.gate.read(self.encoder, [prompt], before).left_alone),
            "words": list(found.words),
            "passed_over": list(found.passed_over),
            "expert": self.name_expert(prompt, route),
            "probabilities": {name: float(row[_column(name)]) for name in self.gate.classes},
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
        return weights | weights_of_others(self)

    def intervention(self, pipeline: Any = None, *, guidance_scale: float = 1.0) -> Intervention:
        """Return the correction as `probe.images.generation.generate` takes it; see `routed`."""
        return routed(self, pipeline, guidance_scale=guidance_scale)

    def attach(self, pipeline: Any) -> Attachment:
        """Correct every prompt that a pipeline is called with, until detached; see `Attachment`.

        Raises
        ------
        ValueError, ModelError
            If a correction is attached already, or this one does not fit.
        """
        return Attachment(pipeline, self)

    def save(self, folder: Path, provenance: Provenance) -> None:
        """Write the weights of token, gate and experts, then ``config.json``.

        ``token.safetensors`` has the format of diffusers' textual inversion; experts of the U-Net
        are in ``unet_experts.safetensors``, token and experts of all text encoders but that of
        the gate in ``other_encoders.safetensors``.
        """
        token, gate, experts, unet = self.token, self.gate, self.experts, self.unet_experts
        of_gate = {"axis": gate.axis, "weights": gate.classifier.weights}
        tensors: dict[str, tuple[str, Mapping[str, npt.NDArray[Any]]]] = {
            "token": ("token", {TOKEN: token.vector.detach().cpu().numpy()[None]}),
            "experts": ("experts", arrays_of(experts.state_dict())),
            "gate": ("gate-weights", {**of_gate, "intercepts": gate.classifier.intercepts}),
        }
        if unet is not None:
            tensors["unet_experts"] = ("unet-experts", arrays_of(unet.state_dict()))
        if self.others:
            tensors["other_encoders"] = ("other-encoders", arrays_of(weights_of_others(self)))
        for name, (kind, arrays) in tensors.items():
            write_tensors(folder / f"{name}.safetensors", arrays, replace(provenance, kind=kind))
        for name in {_UNET_FILE, _OTHERS_FILE} - {f"{name}.safetensors" for name in tensors}:
            (folder / name).unlink(missing_ok=True)  # of an earlier correction
        config = {
            **{name: getattr(experts, name) for name in ("n_features", "width", "style")},
            "recipe": self.recipe,
            "subjects": list(token.subjects),
            "token_place": token.stands,
            "language": token.language and asdict(token.language),
            "classes": list(gate.classes),
            "attributes": [attribute.to_json() for attribute in self.attributes],
            "cells": self.has_cells,
            **{name: getattr(gate, name) for name in GATE_SETTINGS},
            "flags": list(FLAGS),
            "temperature": gate.classifier.temperature,
            "objective": self.objective,
            "taught": self.taught,
            "measured": {name: asdict(of) for name, of in self.measured.items()},
            "router": asdict(self.router),
            "unet": unet and {name: getattr(unet, name) for name in _UNET_SETTINGS},
        }
        if self.others:
            config["other_encoders"] = [other.encoder.slot for other in self.others]
        write_json(folder / "config.json", config, replace(provenance, kind="moesd"))

    @classmethod
    def load(cls, folder: str | Path, encoder: TextEncoder | None = None) -> MoESD:
        """Read a saved correction.

        The encoder of the training is loaded by its recorded name if it is not given.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, the encoder is another one, or no router is saved.
        """
        config, provenance = read_json((folder := Path(folder)) / "config.json", kind="moesd")
        # Corrections of earlier versions are of gender alone.
        earlier = {"attributes": [GENDER.to_json()], "gendered_above": 0.0, "measured": {}}
        config = {**earlier, "cells": False, "taught": False, **config}
        if encoder is None:
            parts = provenance.revision.split("+")
            slot = next((part for part in parts if part.startswith("text_encoder")), None)
            encoder = TextEncoder.load(provenance.model, encoder=slot)
        if encoder.revision != provenance.revision:
            raise ArtifactError(
                f"{folder} was trained on {provenance.model!r} at {provenance.revision} but the "
                f"encoder is {encoder.id!r} at {encoder.revision}; train it again on this encoder"
            )
        try:
            router = Router.from_config(config)
            token, _ = read_tensors(folder / "token.safetensors", kind="token")
            arrays, _ = read_tensors(folder / "gate.safetensors", kind="gate-weights")
            shape = {name: config[name] for name in ("n_features", "width", "style")}
            attributes = tuple(map(Attribute.from_json, config["attributes"]))
            shape["names"] = expert_names(with_cells(attributes, has_cells=config["cells"]))
            experts = read_experts(Experts, shape, folder / "experts.safetensors")
            unet_experts = None
            if (settings := config["unet"]) is not None:
                shape = {name: settings[name] for name in _UNET_SETTINGS}
                unet_experts = read_experts(UNetExperts, shape, folder / _UNET_FILE)
            for module in filter(None, (experts, unet_experts)):
                module.to(encoder.device).eval().requires_grad_(False)
            vector, gate = torch.from_numpy(token[TOKEN][0]), make_gate(arrays, config)
            gate = replace(gate, attributes=attributes)
            check_sizes(encoder, vector, gate, experts)
            stands = config["token_place"], gate.unlisted
            language = Language(**of) if (of := config.get("language")) else None
            first = cls(
                encoder=encoder,
                token=SpecialToken(vector, tuple(config["subjects"]), *stands, language),
                gate=gate,
                experts=experts,
                unet_experts=unet_experts,
                objective=config["objective"],
                router=router,
                recipe=config.get("recipe", ""),
                taught=bool(config["taught"]),
                measured=read_measured(config["measured"], attributes),
            )
            if not (slots := config.get("other_encoders", ())):
                return first
            arrays, _ = read_tensors(folder / _OTHERS_FILE, kind="other-encoders")
            return replace(first, others=tuple(read_other(first, slot, arrays) for slot in slots))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ShapeError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else one_line(error)
            raise ArtifactError(
                f"{folder} holds no correction that can be used ({why}); train it again"
            ) from error

    @classmethod
    def from_pretrained(cls, model: str | Path, encoder: TextEncoder | None = None) -> MoESD:
        """Read a correction from a folder or a hub id; see `load`.

        If there is none, it is a `ModelError`.
        """
        return cls.load(resolve_model(model), encoder)


def _column(class_name: str) -> str:
    return f"p_{class_name.replace('-', '_')}"
