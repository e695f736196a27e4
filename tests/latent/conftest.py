"""Models and prompts for tests that run networks, and real embeddings."""

import csv
import json

import numpy as np
import pytest
import torch

from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

JOBS = ["nurse", "CEO", "construction worker", "mechanic"]


@pytest.fixture(scope="module")
def said():
    return PromptSet.build(Lexicon.load()).select(group=["male", "female"], subject=JOBS)


@pytest.fixture(scope="module")
def bert(said):
    """A bidirectional encoder of random weights, pooled by the mean, that knows every word."""
    from transformers import BertConfig, BertModel, BertTokenizer

    words = sorted({word for prompt in said.prompts for word in prompt.lower().split()})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
        initializer_range=0.3,
    )
    tokenizer = BertTokenizer({word: at for at, word in enumerate(words)}, model_max_length=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return TextEncoder(BertModel(config), tokenizer, id="bert", revision="1")


@pytest.fixture(scope="module")
def wefe_words(real_data):
    """GoogleNews vectors of WEFE's sets of words, without words that have no vector."""
    folder = real_data / "wefe"
    lines = (folder / "weat_w2v.txt").read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.rstrip().split(" ") for line in lines)
    vectors = {word: np.array(numbers, dtype=np.float64) for word, *numbers in rows}
    sets = json.loads((folder / "WEAT.json").read_text(encoding="utf-8"))
    return {
        name: np.stack([vectors[word] for word in words if word in vectors])
        for name, words in sets.items()
        if isinstance(words, list) and any(word in vectors for word in words)
    }


@pytest.fixture(scope="module")
def clip_words(real_data):
    """Real CLIP ViT-B/32 embeddings of "a {name}" for 500 OpenImages names, normalised."""
    with (real_data / "detic/oid_categories.csv").open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    z = np.load(real_data / "detic/oid_clip_a+cname.npy").astype(np.float64)
    return names, z / np.linalg.norm(z, axis=1, keepdims=True)
