"""A correction at work in a pipeline: every prompt is corrected, every picture finds its expert."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from probe.moesd.attaching.fit import check_fit
from probe.moesd.unet.routing import Routed

if TYPE_CHECKING:
    from probe.moesd.model import MoESD

_logger = logging.getLogger("probe")
_MARK = "_moesd_attachment"


class Attachment:
    """A correction in a running pipeline.

    The pipeline's ``encode_prompt`` is shadowed on this one object, and experts of the U-Net are
    added to its cross-attentions as hooks; weights, tokenizer and classes stay untouched. The
    scheduler, guidance, negative prompts, LoRAs and where the parts live make no difference. In a
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
        If the correction does not fit; see `probe.moesd.attaching.fit.check_fit`.
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
        routes = self._moesd.routes(prompts) if self._routed is not None else []
        self._send([route for route in routes for _ in range(n_each)])
        return (self._corrected(prompts, conditioning, n_each), *rest)

    def _corrected(
        self, prompts: list[str], conditioning: torch.Tensor, n_each: int
    ) -> torch.Tensor:
        encoder = self._moesd.encoder
        # With several encoders the states of the first have the first features of the first tokens.
        ours = (slice(None), slice(encoder.max_tokens), slice(encoder.n_features))
        states = conditioning[::n_each][ours].to(encoder.device)
        moved = self._moesd.correct(prompts, states).to(conditioning)
        corrected = conditioning.clone()
        corrected[ours] = moved.repeat_interleave(n_each, dim=0)
        return corrected

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
