"""tinytown's tokenizer and models: ordinary transformers and diffusers classes, made small."""

import string
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
    ResNetConfig,
    ResNetForImageClassification,
)

from probe.tinytown.canvas import SIZE

N_TOKENS = 32
TEXT_WIDTH = 96
LATENT_CHANNELS = 4
LATENT_SIZE = 16
GUIDANCE_SCALE = 3.0
N_INFERENCE_STEPS = 12
_END = "</w>"
_NO_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


def learn_tokenizer(captions: Iterable[str], *, n_merges: int = 512) -> CLIPTokenizer:
    """Learn merges from captions; every other text falls back to single bytes.

    The vocabulary is in the order of OpenAI's CLIP: 256 bytes, 256 bytes that end a word, at most
    ``n_merges`` merges, start and end of text.
    """
    words = Counter(
        word for caption in captions for word in caption.lower().translate(_NO_PUNCTUATION).split()
    )
    alphabet = sorted(ByteLevel.alphabet())
    merges = _learn_merges(words, n_merges)
    tokens = [*alphabet, *(letter + _END for letter in alphabet)]
    tokens += [left + right for left, right in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=merges,  # type: ignore[arg-type]  # pairs, as the tokenizers library takes them
        model_max_length=N_TOKENS,
    )


def clip(vocabulary_size: int, *, bos: int, eos: int) -> CLIPModel:
    """Text and vision towers with random weights."""
    text = CLIPTextConfig(
        vocab_size=vocabulary_size,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=N_TOKENS,
        projection_dim=64,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    vision = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=8,
        projection_dim=64,
    )
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


def autoencoder() -> AutoencoderKL:
    """A convolutional autoencoder, 64 x 64 x 3 to 16 x 16 x 4 and back."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=SIZE,
        mid_block_add_attention=False,
    )


def denoiser() -> UNet2DConditionModel:
    """A U-Net over latents, conditioned on the text states by cross-attention."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(2, 4, 6),
        norm_num_groups=8,
    )


def scheduler() -> DDIMScheduler:
    """Noise prediction on the schedule of Stable Diffusion v1, which ends short of pure noise."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="epsilon",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def classifier(labels: list[str]) -> ResNetForImageClassification:
    """A small residual network whose labels are ``attribute:value`` pairs."""
    return ResNetForImageClassification(
        ResNetConfig(
            embedding_size=24,
            hidden_sizes=[32, 48, 80],
            depths=[1, 1, 1],
            layer_type="basic",
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            problem_type="multi_label_classification",
        )
    )


def _learn_merges(words: Counter[str], n_merges: int) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al. 2016): merge the commonest neighbours."""
    spelled = {word: [*word[:-1], word[-1] + _END] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, symbols in spelled.items():
            for pair in pairwise(symbols):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for symbols in spelled.values():
            _merge(symbols, best)
    return merges


def _merge(symbols: list[str], pair: tuple[str, str]) -> None:
    position = 0
    while position < len(symbols) - 1:
        if (symbols[position], symbols[position + 1]) == pair:
            symbols[position : position + 2] = ["".join(pair)]
        position += 1
