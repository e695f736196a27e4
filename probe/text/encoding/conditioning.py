"""Which states of a text encoder condition the image model, by pipeline class and encoder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from probe.errors import ModelError
from probe.text.checkpoints import choose_encoder, model_revision, read_config

Pooling = Literal["end", "mean", "first", "last"]
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
    state at the first token (BERT's [CLS]); ``"last"``, that at the last position, even padding."""
    max_tokens: int | None = None
    """Length to which prompts are padded and cut; None is the tokenizer's own limit."""
    masked: bool = False
    """Whether the padding is hidden from the prompt by an attention mask."""
    lowercase: bool = False
    """Whether prompts are lowercased and stripped before they are tokenized."""
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
            return rows[slot]
        raise ModelError(
            f"{folder} is a {name}, whose conditioning by {slot} is unknown; give it with "
            "TextEncoder.load(..., conditioning=Conditioning(...)); known are "
            f"{', '.join(names[0] for names in _PIPELINES)} and their variants"
        )
    alone = family_conditioning(str(read_config(folder / "config.json").get("model_type")))
    if not (folder / "1_Pooling").is_dir():
        return alone
    return replace(alone, pooling=_sentence_pooling(folder / "1_Pooling" / "config.json"))


def family_conditioning(model_type: str) -> Conditioning:
    """Conditioning of a text encoder outside of a pipeline, by the type in its configuration."""
    return _ALONE.get(model_type, _WORDS)


def encoder_revision(
    folder: Path, encoder: str | None = None, conditioning: Conditioning | None = None
) -> str:
    """Identify the exact weights of a text encoder and its conditioning.

    It is the `model_revision` of the folder, with a suffix for another text encoder than the first
    and for every setting that differs from the known one: ``"1c3f...+text_encoder_2+layer=-1"``.
    """
    slot, revision = choose_encoder(folder, encoder), model_revision(folder)
    if slot != choose_encoder(folder):
        revision += f"+{slot}"
    if conditioning is not None:
        try:
            ours = asdict(known_conditioning(folder, slot or None))
        except ModelError:
            ours = asdict(Conditioning())
        for name, value in asdict(conditioning).items():
            if value != ours[name]:
                revision += f"+{name}={value}"
    return revision


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
