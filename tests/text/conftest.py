"""Text encoders of the true configurations, but for their depth, with random weights."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import Conditioning

WORDS = ("photo", "nurse", "mechanic", "auditor", "work", "smiling", "CEO", "ceo", "of", "a", "an")
PIECES = ["<pad>", "</s>", "<unk>", "▁", *("▁" + word for word in WORDS)]
PIECES += list(string.ascii_letters + string.digits + string.punctuation)


@dataclass(frozen=True)
class Part:
    """A text encoder with its tokenizer, in memory and saved."""

    model: Any
    tokenizer: Any
    folder: Path

    @classmethod
    def save(cls, model: Any, tokenizer: Any, folder: Path) -> Part:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return cls(model, tokenizer, folder)


def random_model(kind: Any, config: Any, *, seed: int = 0) -> Any:
    """Build a model whose norms and biases are not those of a fresh one, so that each counts."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = kind(config).eval()
        for weight in model.parameters():
            if weight.ndim == 1:
                weight += 0.1 * torch.randn_like(weight)
    return model


# The true configurations, but for the number of layers and of ids. All CLIPs of diffusers' folders
# say the special ids 0, 2 and 1, which are not those of their tokenizers.
CLIP = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "num_hidden_layers": 2}
CONFIGS = {
    "sd15": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
             "projection_dim": 768, "hidden_act": "quick_gelu", **CLIP},
    "sd21": {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
             "projection_dim": 512, "hidden_act": "gelu", **CLIP},
    "sdxl_2": {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20,
               "projection_dim": 1280, "hidden_act": "gelu", **CLIP},
}  # fmt: skip
T5 = {
    "vocab_size": 256,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_heads": 6,
    "num_layers": 2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write text or bytes to a file."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Part]:
    """Build a CLIP text encoder of a true configuration."""

    def make(
        name: str, tokenizer: CLIPTokenizer, kind: Any = CLIPTextModel, **options: Any
    ) -> Part:
        config = CLIPTextConfig(**CONFIGS[name] | {"vocab_size": len(tokenizer)} | options)
        folder = tmp_path_factory.mktemp("parts") / name
        return Part.save(random_model(kind, config), tokenizer, folder)

    return make


@pytest.fixture(scope="session")
def make_t5(
    tmp_path_factory: pytest.TempPathFactory, t5_tokenizer: T5Tokenizer
) -> Callable[..., Part]:
    """Build a T5 encoder of the configuration of t5-v1_1-small, or another of its series."""

    def make(**options: Any) -> Part:
        model = random_model(T5EncoderModel, T5Config(**T5 | options))
        return Part.save(model, t5_tokenizer, tmp_path_factory.mktemp("parts") / "t5")

    return make


@pytest.fixture(scope="session")
def t5(make_t5: Callable[..., Part]) -> Part:
    """The encoder of t5-v1_1-small."""
    return make_t5()


@pytest.fixture(scope="session")
def lay_out(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Lay a pipeline's folder out as diffusers does, without the parts that are no text."""

    def make(class_name: str, **parts: Part) -> Path:
        folder = tmp_path_factory.mktemp("pipelines") / class_name
        folder.mkdir()
        index: dict[str, Any] = {"_class_name": class_name, "_diffusers_version": "0.35.0"}
        for slot, part in parts.items():
            words = slot.replace("text_encoder", "tokenizer")
            for name, made in ((slot, part.model), (words, part.tokenizer)):
                index[name] = ["transformers", type(made).__name__]
                (folder / name).symlink_to(part.folder)
        (folder / "model_index.json").write_text(json.dumps(index))
        return folder

    return make


@pytest.fixture(scope="session")
def clip_tokenizer(pipeline_folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer without merges, which pads with its end."""
    return CLIPTokenizer.from_pretrained(pipeline_folder / "tokenizer")


@pytest.fixture(scope="session")
def open_clip_tokenizer(pipeline_folder: Path) -> CLIPTokenizer:
    """The same, which pads with "!" as Stable Diffusion v2.x and SDXL's second tokenizer do."""
    return CLIPTokenizer.from_pretrained(pipeline_folder / "tokenizer", pad_token="!")


@pytest.fixture(scope="session")
def t5_tokenizer() -> T5Tokenizer:
    """A T5 tokenizer of few pieces; it tells upper and lower case apart."""
    vocab = [(piece, 0.0 if number < 3 else -2.0) for number, piece in enumerate(PIECES)]
    return T5Tokenizer(vocab=vocab, model_max_length=512)


@pytest.fixture(scope="session")
def siglip_tokenizer() -> PreTrainedTokenizerFast:
    """A SigLIP tokenizer of few pieces: it lowercases, and pads with its end."""
    vocab = [(piece, 0.0 if number < 3 else -2.0) for number, piece in enumerate(PIECES)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=2))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
    )


@pytest.fixture(scope="session")
def bert_tokenizer() -> BertTokenizer:
    """A BERT tokenizer of few words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "at", ",", "!"]
    return BertTokenizer({word: number for number, word in enumerate(words)}, model_max_length=512)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, bert_tokenizer: BertTokenizer) -> Part:
    """A BERT of the configuration of bert-base."""
    config = BertConfig(vocab_size=len(bert_tokenizer), num_hidden_layers=2)
    folder = tmp_path_factory.mktemp("parts") / "bert"
    return Part.save(random_model(BertModel, config), bert_tokenizer, folder)


@pytest.fixture(scope="session")
def siglip(
    tmp_path_factory: pytest.TempPathFactory, siglip_tokenizer: PreTrainedTokenizerFast
) -> Part:
    """A whole SigLIP, of which the text encoder is that of siglip-base-patch16-224."""
    text = SiglipTextConfig(vocab_size=len(siglip_tokenizer), num_hidden_layers=2)
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    vision |= {"num_hidden_layers": 1, "image_size": 32}
    config = SiglipConfig(text_config=text.to_dict(), vision_config=vision)
    folder = tmp_path_factory.mktemp("parts") / "siglip"
    return Part.save(random_model(SiglipModel, config), siglip_tokenizer, folder)


@pytest.fixture(scope="session")
def decoder(bert_tokenizer: BertTokenizer) -> Callable[..., TextEncoder]:
    """A function that makes a Gemma 2 of random weights, with some options of its tokenizer."""
    words = [*bert_tokenizer.get_vocab(), "man", "woman", "male", "female"]

    def make(
        instruction: str = "", template: str = "[CLS] $A [SEP]", **options: Any
    ) -> TextEncoder:
        tokenizer = BertTokenizer({word: row for row, word in enumerate(words)}, **options)
        special = [(word, words.index(word)) for word in ("[CLS]", "[SEP]") if word in template]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=special
        )
        sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 16}
        config = Gemma2Config(
            vocab_size=len(tokenizer), num_attention_heads=2, num_key_value_heads=1, **sizes
        )
        read = Conditioning(
            pooling="last_token", masked=True, max_tokens=32, instruction=instruction
        )
        model = random_model(Gemma2Model, config)
        return TextEncoder(model, tokenizer, id="gemma", revision="1", conditioning=read)

    return make
