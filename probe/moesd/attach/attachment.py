"""A correction at work in a pipeline: every prompt is corrected, every picture finds its expert."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from probe.moesd.attach.compatibility import check_fit
from probe.moesd.attach.host_encoder import carries_more, host_encoder, scaled, written
from probe.moesd.unet.routing import Routed

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

_logger = logging.getLogger("probe")
_MARK = "_moesd_attachment"


class Attachment:
    """A correction in a running pipeline.

    The pipeline's ``encode_prompt`` is shadowed on this one object, and experts of the U-Net are
    added to its cross-attentions as hooks; weights, tokenizer and classes stay untouched. The
    scheduler, guidance, negative prompts and where the parts live make no difference, offloaded or
    not. What the experts move are the states of the pipeline's own text encoder, with the LoRAs and
    textual inversions that are loaded into it by then; the gate reads the encoder that it was
    fitted on, and decides as without them (a LoRA that is fused into weights it cannot see). In a
    pipeline with several text encoders (Stable Diffusion XL and 3) the states of the first are
    corrected; those of the others, and the pooled vector, are the base model's.

    Two things pass uncorrected, and the logger ``probe`` says so: prompts given as embeddings,
    whose words are not known, and those of ``clip_skip``, whose states are of another layer.

    Parameters
    ----------
    pipeline : DiffusionPipeline
    moesd : MoESD

    Raises
    ------
    ValueError
        If a correction is attached already.
    ModelError
        If the correction does not fit; see `probe.moesd.attach.compatibility.check_fit`.
    """

    def __init__(self, pipeline: Any, moesd: MoESD) -> None:
        if "encode_prompt" in vars(pipeline):
            raise ValueError("a correction is attached to this pipeline already; detach it first")
        check_fit(pipeline, moesd)
        self._pipeline, self._moesd = pipeline, moesd
        self._plain = pipeline.encode_prompt
        self._routed = None
        if moesd.unet_experts is not None:
            self._routed = Routed(pipeline.unet, moesd.unet_experts)
        pipeline.encode_prompt = self._encode_prompt
        setattr(pipeline, _MARK, self)

    def detach(self) -> None:
        """Give the pipeline back as it was, bit for bit.

        Raises
        ------
        ValueError
            If it was given back already.
        """
        detach(self._pipeline, self)

    def __enter__(self) -> Any:
        return self._pipeline

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if vars(self._pipeline).get(_MARK) is self:
            self.detach()

    def _encode_prompt(
        self, prompt: str | list[str] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        conditioning, *rest = self._plain(prompt, *args, **kwargs)
        why = ""
        if prompt is None or kwargs.get("prompt_embeds") is not None:
            why = "prompt_embeds are given, so their words are not known"
        elif kwargs.get("clip_skip"):
            why = "with clip_skip the states are of another layer than the experts know"
        if why:
            _logger.warning("%s: these pictures are not corrected", why)
            self._send([])
            return (conditioning, *rest)
        prompts = [prompt] if isinstance(prompt, str) else list(prompt or ())
        n_each = len(conditioning) // len(prompts)
        z = self._pooled(prompts, conditioning[::n_each])
        decision = self._moesd.decide(prompts, z)
        routes = self._moesd.routes_of(decision, z) if self._routed is not None else []
        self._send([route for route in routes for _ in range(n_each)])
        rows = np.flatnonzero(decision.is_open)
        if not len(rows):
            return (conditioning, *rest)
        with scaled(self._pipeline, kwargs.get("lora_scale")):
            moved, _ = self._moesd.move(
                written(self._pipeline, [prompts[row] for row in rows]),
                decision.weights[rows],
                encoder=host_encoder(self._pipeline, self._moesd.encoder),
            )
        corrected = conditioning.clone()
        # With several encoders the states of the first have the first features of the first tokens.
        _, n_tokens, n_features = moved.shape
        ours = corrected.unflatten(0, (len(prompts), n_each))[:, :, :n_tokens, :n_features]
        ours[torch.from_numpy(rows)] = moved.unsqueeze(1).to(ours)
        return (corrected, *rest)

    def _pooled(self, prompts: list[str], conditioning: torch.Tensor) -> npt.NDArray[np.float32]:
        """Pool prompts as the encoder that the gate was fitted on encodes them."""
        encoder = self._moesd.encoder
        if carries_more(self._pipeline, encoder):
            return encoder.embed(prompts)
        states = conditioning[:, : encoder.max_tokens, : encoder.n_features]
        return self._moesd.pool(prompts, states)

    def _send(self, routes: list[str]) -> None:
        if self._routed is not None:
            self._routed.send(routes)


def detach(pipeline: Any, attachment: Attachment | None = None) -> None:
    """Take the correction out of a pipeline.

    Parameters
    ----------
    attachment : Attachment, optional
        Which one; whichever is attached if not given.

    Raises
    ------
    ValueError
        If it is not attached.
    """
    found = vars(pipeline).get(_MARK)
    if found is None or (attachment is not None and found is not attachment):
        raise ValueError(
            "this correction is not attached to the pipeline; there is nothing to detach"
        )
    if found._routed is not None:
        found._routed.detach()
    del pipeline.encode_prompt
    delattr(pipeline, _MARK)
