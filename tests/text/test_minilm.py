"""A real sentence encoder knows the labour market."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from transformers import BertModel

from probe.latent.association import weat
from probe.latent.directions import PairDirection
from probe.latent.erasure import CalibratedProjection, bias_score
from probe.latent.prediction import SharePredictor
from probe.stats.correlation import share_correlation
from probe.text.encoding.conditioning import Conditioning
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.templates import fill

pytestmark = pytest.mark.real


def test_the_embedding_is_that_of_the_plain_call_pooled_by_its_mean(minilm):
    prompts = ["a nurse", "a photo of a mechanic at work, smiling!"]
    words = minilm.tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        plain = BertModel.from_pretrained(minilm.id)(**words).last_hidden_state
    mask = words.attention_mask.unsqueeze(2)
    mean = torch.nn.functional.normalize((plain * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
    np.testing.assert_allclose(minilm.embed(prompts), mean, atol=1e-6)
    assert minilm.conditioning == Conditioning(pooling="mean", masked=True)


@pytest.fixture(scope="module")
def bias_score_of(minilm):
    """Mean bias score of each name over the neutral templates of the shipped lexicon.

    The axis comes from the lexicon's pairs, which know no labour-market share; every name is put
    into the same templates as it stands.
    """
    lexicon = Lexicon.load()
    prompts = PromptSet.build(lexicon).select(group=["male", "female"])
    z, (male, female) = minilm.embed(prompts.prompts), prompts.pairs()
    direction = PairDirection().fit(z[male], z[female]).direction_
    projection = CalibratedProjection().fit(z[male], z[female])

    def measure(names):
        sentences = [
            fill(t, subject=name) for name in names for t in lexicon.templates["train"].neutral
        ]
        return (
            bias_score(minilm.embed(sentences), direction, projection)
            .reshape(len(names), -1)
            .mean(1)
        )

    return measure


@pytest.mark.slow
def test_bias_score_of_the_327_jobs_of_the_census_follows_the_labour_shares(
    bias_score_of, real_data
):
    path = real_data / "bls_cps" / "cps_occupation_shares.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = share_correlation(
        bias_score_of([row["job"] for row in rows]),
        np.array([float(row["pct_women"]) / 100 for row in rows]),
    )
    assert found.n == 327
    assert found.r == pytest.approx(-0.464, abs=0.002)  # positive bias score is male
    assert -0.56 < found.low < found.high < -0.35


def test_sentences_associate_men_with_careers(minilm, real_data):
    words = json.loads((real_data / "wefe" / "WEAT.json").read_text(encoding="utf-8"))
    names, things = ["This is {word}.", "{word} is here."], ["This is {word}.", "It is {word}."]
    sets = [
        minilm.embed([fill(template, word=word) for word in words[key] for template in templates])
        for key, templates in (
            ("male_names", names),
            ("female_names", names),
            ("career", things),
            ("family", things),
        )
    ]
    said_of = [np.repeat(np.arange(len(vectors) // 2), 2) for vectors in sets]
    found = weat(*sets, target_clusters=said_of[:2], attribute_clusters=said_of[2:])
    assert found.is_exact
    assert found.value > 0.5


@pytest.mark.slow
def test_bias_score_foretells_the_published_pictures_of_unseen_occupations(
    bias_score_of, real_data
):
    path = real_data / "fair_diffusion" / "results_fairface_generated_1-5.txt"
    lines = path.read_text(encoding="utf-8").split("\n")
    counts = np.array([[int(n) for n in re.findall(r"\d+", line)] for line in lines[1::2]])
    women, images = counts[:, 1], counts[:, :2].sum(axis=1)
    bias_scores = bias_score_of(lines[: 2 * len(counts) : 2])
    folds = np.random.default_rng(0).permutation(len(women)) % 5
    is_inside, told = np.zeros(len(women), dtype=bool), np.zeros(len(women))
    for fold in range(5):
        rest, new = folds != fold, folds == fold
        model = SharePredictor(n_draws=2000).fit(bias_scores[rest], women[rest], images[rest])
        found = model.predict(bias_scores[new], n_images=images[new])
        seen = women[new] / images[new]
        is_inside[new] = (found.low <= seen) & (seen <= found.high)
        told[new] = found.share
    seen = women / images
    assert len(seen) == 153
    assert is_inside.mean() >= 0.95 - 2 * 0.0176  # two standard errors of 153 trials
    # another encoder than the one that made the pictures: a third of the variance, no more
    assert 1 - ((seen - told) ** 2).sum() / ((seen - seen.mean()) ** 2).sum() > 0.25
