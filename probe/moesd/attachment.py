"""Put a correction between a pipeline's text encoder and its image model, and take it out again."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from probe.intervention import Corrector


class Attachment:
    """A correction in a running pipeline.

    The pipeline's ``encode_prompt`` is shadowed on this one object; weights, tokenizer and class
    stay untouched. Prompts given as embeddings pass uncorrected: their words are not known.
    """

    def __init__(self, pipeline: Any, corrector: Corrector) -> None:
        if "encode_prompt" in vars(pipeline):
            raise ValueError("a correction is attached to this pipeline already; detach it first")
        self._pipeline = pipeline
        plain = pipeline.encode_prompt

        def encode_prompt(prompt: str | list[str] | None, *args: Any, **kwargs: Any) -> Any:
            if prompt is None or kwargs.get("prompt_embeds") is not None:
                return plain(prompt, *args, **kwargs)
            conditioning, *rest = plain(prompt, *args, **kwargs)
            prompts = [prompt] if isinstance(prompt, str) else list(prompt)
            n_each = len(conditioning) // len(prompts)
            corrected = corrector.correct(prompts, conditioning[::n_each])
            return (corrected.repeat_interleave(n_each, dim=0), *rest)

        pipeline.encode_prompt = encode_prompt

    def detach(self) -> None:
        """Give the pipeline back as it was; a second call does nothing."""
        vars(self._pipeline).pop("encode_prompt", None)

    def __enter__(self) -> Any:
        return self._pipeline

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()
