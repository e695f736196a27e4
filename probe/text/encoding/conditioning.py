"""Which states of a text encoder condition the image model, by pipeline class and encoder."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from probe.errors import ModelError, OptionError
from probe.io.files import hash_parts
from probe.text.checkpoints import (
    choose_encoder,
    model_revision,
    read_config,
    text_encoders,
)

Pooling = Literal["end", "mean", "first", "last", "last_token"]
Given = Literal["states", "pooled", "both"]


@dataclass(frozen=True)
class Conditioning:
    """How a prompt becomes the states that condition the image model, and one vector.

    The defaults are those of Stable Diffusion v1.x: the last states after the final normalisation
    of padded prompts, without an attention mask, so that the padding conditions the image too.
    """

    layer: int = -1
    """Which states: -1 after the last layer, -2 after the last but one (``hidden_states[-2]``)."""
    final_norm: bool = True
    """Whether the encoder's final normalisation is applied. Encoders that normalise at the end of
    each layer (BERT) have none; they allow True for the last layer only."""
    pooling: Pooling = "end"
    """The vector of the prompt in `TextEncoder.embed`: ``"end"``, the state at the first
    end-of-text token; ``"mean"``, the mean over the prompt without padding; ``"first"``, the
    state at the first token (BERT's [CLS]); ``"last"``, that at the last position, even padding;
    ``"last_token"``, that at the last token of the prompt (decoder-only models)."""
    max_tokens: int | None = None
    """Length to which prompts are padded and cut; None is the tokenizer's own limit."""
    masked: bool = False
    """Whether the padding is hidden from the prompt by an attention mask."""
    lowercase: bool = False
    """Whether prompts are lowercased and stripped before they are tokenized."""
    instruction: str = ""
    """Text that is read before every prompt; its states but the first and the last are left out."""
    gives: Given = "states"
    """Input of the image model: the states, one pooled vector a prompt, or both."""

    def __post_init__(self) -> None:
        if self.layer >= 0:
            raise ValueError(
                f"layer is {self.layer}; needed -1 for the last, -2 for the one before"
            )
        if self.pooling not in get_args(Pooling):
            raise ValueError(f"unknown pooling {self.pooling!r}; choose from {get_args(Pooling)}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; needed at least 1")


_LAST = Conditioning()
_PENULTIMATE = Conditioning(layer=-2, final_norm=False)
_PROJECTED = replace(_PENULTIMATE, gives="both")
_PADDED = Conditioning(pooling="mean")
_WORDS = Conditioning(pooling="mean", masked=True)
_CAPTION = replace(_WORDS, lowercase=True)
_DECODER = Conditioning(pooling="last_token", masked=True, max_tokens=512)
_SANA = replace(_DECODER, lowercase=True, max_tokens=300)

# Each row restates `encode_prompt` of its classes in diffusers (clean_caption=False, the default).
_PIPELINES: dict[tuple[str, ...], dict[str, Conditioning]] = {
    # `text_encoder(ids)[0]`. In Stable Diffusion v2.x the penultimate of 24 layers conditions; its
    # folders leave the last one out (num_hidden_layers = 23), so that the row is the same.
    (
        "StableDiffusionPipeline",
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInpaintPipeline",
        "StableDiffusionControlNetPipeline",
        "LatentConsistencyModelPipeline",
    ): {"text_encoder": _LAST},
    # `hidden_states[-2]` of both, `text_embeds` of the second.
    (
        "StableDiffusionXLPipeline",
        "StableDiffusionXLImg2ImgPipeline",
        "StableDiffusionXLInpaintPipeline",
        "StableDiffusionXLControlNetPipeline",
    ): {"text_encoder": _PENULTIMATE, "text_encoder_2": _PROJECTED},
    # `hidden_states[-2]` and `text_embeds` of both CLIPs; T5 sees its padding.
    (
        "StableDiffusion3Pipeline",
        "StableDiffusion3Img2ImgPipeline",
        "StableDiffusion3InpaintPipeline",
    ): {
        "text_encoder": _PROJECTED,
        "text_encoder_2": _PROJECTED,
        "text_encoder_3": replace(_PADDED, max_tokens=256),
    },
    # `pooler_output` of CLIP, whose states condition nothing; T5 sees its padding.
    ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline", "FluxFillPipeline"): {
        "text_encoder": replace(_LAST, gives="pooled"),
        "text_encoder_2": replace(_PADDED, max_tokens=512),
    },
    ("PixArtAlphaPipeline",): {"text_encoder": replace(_CAPTION, max_tokens=120)},
    ("PixArtSigmaPipeline",): {"text_encoder": replace(_CAPTION, max_tokens=300)},
    # A Gemma 2, with the instruction of `_instruction`.
    (
        "SanaPipeline",
        "SanaControlNetPipeline",
    ): {"text_encoder": _SANA},
    # Without a negative prompt.
    ("SanaSprintPipeline", "SanaSprintImg2ImgPipeline"): {"text_encoder": _SANA},
    ("IFPipeline",): {"text_encoder": replace(_CAPTION, max_tokens=77)},
    # A BERT and a T5.
    ("HunyuanDiTPipeline",): {
        "text_encoder": replace(_WORDS, max_tokens=77),
        "text_encoder_2": replace(_WORDS, max_tokens=256),
    },
}
KNOWN: Mapping[str, Mapping[str, Conditioning]] = {
    name: rows for names, rows in _PIPELINES.items() for name in names
}
"""Pipeline class -> text encoder -> its conditioning."""

DECODERS = ("gemma", "gemma2", "gemma3_text", "llama", "mistral", "phi3", "qwen2", "qwen3")
"""Decoder-only language models, by the model_type of their configuration."""

# A text encoder alone, by the model_type of its configuration; all others are `_WORDS`.
_ALONE = {
    "clip": _LAST,
    "clip_text_model": _LAST,
    # Trained on padded texts without a mask and read at the last position: Zhai et al., Sigmoid
    # Loss for Language Image Pre-Training (2023); SiglipTextModel.forward.
    **dict.fromkeys(
        ("siglip", "siglip_text_model", "siglip2", "siglip2_text_model"),
        Conditioning(pooling="last"),
    ),
    **dict.fromkeys(DECODERS, _DECODER),
}

# Name in 1_Pooling/config.json of a sentence-transformers folder -> our name.
_SENTENCE: dict[str, Pooling] = {"mean": "mean", "cls": "first"}


def known_conditioning(folder: Path, encoder: str | None = None) -> Conditioning:
    """Look up the conditioning of a text encoder; `ModelError` if it is not known.

    The pooling of a text encoder alone is its family's, or that of ``1_Pooling/config.json``
    (sentence-transformers; a ``Dense`` module is not applied).
    """
    if slot := choose_encoder(folder, encoder):
        name = str(read_config(folder / "model_index.json").get("_class_name"))
        if slot in (rows := KNOWN.get(name, {})):
            return replace(rows[slot], instruction=_instruction(name))
        raise ModelError(
            f"{folder} is a {name}, whose conditioning by {slot} is unknown; give it with "
            "TextEncoder.load(..., conditioning=Conditioning(...)), or audit its images as they "
            "are: `moesd-probe audit RUN --sequential 0.4 0.6 --side base`; known are "
            f"{', '.join(names[0] for names in _PIPELINES)} and their variants"
        )
    alone = family_conditioning(str(read_config(folder / "config.json").get("model_type")))
    if not (folder / "1_Pooling").is_dir():
        return alone
    return replace(alone, pooling=_sentence_pooling(folder / "1_Pooling" / "config.json"))


def family_conditioning(model_type: str) -> Conditioning:
    """Conditioning of a text encoder outside of a pipeline, by the type in its configuration."""
    return _ALONE.get(model_type, _WORDS)


def instructed(folder: Path, instruction: str) -> Conditioning:
    """Conditioning of a decoder-only text encoder alone that reads an instruction first."""
    is_decoder = not text_encoders(folder) and (
        read_config(folder / "config.json").get("model_type") in DECODERS
    )
    if not is_decoder:
        raise OptionError(
            f"instruction is {instruction[:100]!r}, but {folder} has an encoder that reads none "
            "or its pipeline's own; needed a decoder-only text encoder alone, of type "
            f"{', '.join(DECODERS)}"
        )
    return replace(known_conditioning(folder), instruction=instruction)


def encoder_revision(
    folder: Path, encoder: str | None = None, conditioning: Conditioning | None = None
) -> str:
    """Identify the exact weights of a text encoder and its conditioning.

    It is the `model_revision` of the folder, with a suffix for another text encoder than the first
    and for every setting that differs from the known one: ``"1c3f...+text_encoder_2+layer=-1"``.
    """
    revision = model_revision(folder)
    if encoder is None and (folder / "model_index.json").is_file() and not text_encoders(folder):
        return revision  # a model that is only called
    slot = choose_encoder(folder, encoder)
    if slot != choose_encoder(folder):
        revision += f"+{slot}"
    if conditioning is not None:
        try:
            ours = asdict(known_conditioning(folder, slot or None))
        except ModelError:
            ours = asdict(Conditioning())
        for name, value in asdict(conditioning).items():
            if value != ours[name]:
                revision += f"+{name}={hash_parts(value) if name == 'instruction' else value}"
    return revision


def _instruction(pipeline: str) -> str:
    """Read what a pipeline writes before every prompt: the default of its ``__call__``."""
    if not pipeline.startswith("Sana"):
        return ""
    import diffusers

    call = inspect.signature(getattr(diffusers, pipeline).__call__).parameters
    return "\n".join(call["complex_human_instruction"].default)


def _sentence_pooling(path: Path) -> Pooling:
    """Read the pooling of a sentence encoder; older folders have a flag for each mode."""
    config = read_config(path) if path.is_file() else {"pooling_mode": "mean"}
    modes = config.get("pooling_mode") or [
        name.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for name, value in config.items()
        if name.startswith("pooling_mode_") and value
    ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) == 1 and modes[0] in _SENTENCE:
        return _SENTENCE[modes[0]]
    raise ModelError(
        f"{path} pools by {' and '.join(map(str, modes)) or 'nothing'}; needed one of "
        f"{', '.join(_SENTENCE)}: say how with TextEncoder.load(..., conditioning=Conditioning("
        "pooling=...))"
    )
