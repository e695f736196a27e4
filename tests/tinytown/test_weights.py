"""What the committed weights are measured to do; the card holds the figures at 200 pictures."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from probe.text.lexicon import Lexicon
from probe.tinytown import card

MODEL = Path(str(files("probe.tinytown") / "weights"))


@pytest.fixture(scope="module")
def training_card():
    return json.loads((MODEL / "TRAINING_CARD.json").read_text())


def test_the_card_is_about_these_weights(training_card):
    assert training_card["hashes"] == card.hashes(MODEL)
    assert len(training_card["hashes"]) >= 6


def test_all_weights_together_are_at_most_16_megabytes():
    assert sum(path.stat().st_size for path in MODEL.rglob("*.safetensors")) <= 16e6
    assert not list(MODEL.rglob("*.bin"))


def test_the_card_shows_that_every_training_learned(training_card):
    for name, losses in training_card["losses"].items():
        assert losses[-1] < 0.8 * losses[0], name


def test_the_text_encoder_leans_as_the_planted_shares_do():
    found = card.measure_encoder(MODEL, Lexicon.load())
    assert found["n"] == 40
    assert found["r"] <= -0.80


@pytest.mark.slow
def test_the_classifiers_name_unseen_renders(training_card):
    measured = card.measure_classifiers(MODEL, Lexicon.load(), n=1200)
    for name in ("classifier", "second_classifier"):
        assert measured[name]["gender"] >= 0.99
        assert measured[name]["subject"] >= 0.98
    assert training_card["classifiers_on_unseen_renders"]["classifier"]["gender"] >= 0.99


def test_the_cards_pictures_show_what_tinytown_must_show(training_card):
    check(training_card["pictures"], slack=0.0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_new_pictures_show_what_the_card_says(training_card, tmp_path):
    found = card.measure_pictures(MODEL, Lexicon.load(), tmp_path, n_images=12, seed=101)
    check(found, slack=0.04)  # 120 explicit pictures of each gender: a standard error of 0.02
    # 12 pictures a subject lift the mean |share - 1/2| by 0.008, with a standard error of 0.013.
    assert found["mad"] == pytest.approx(training_card["pictures"]["mad"], abs=0.05)


def check(pictures, *, slack):
    assert pictures["agreement"] >= 0.97 - slack
    assert min(pictures["adherent"].values()) >= 0.95 - slack
    assert pictures["subject_recognised"] >= 0.98 - slack
    assert pictures["share_correlation"] >= 0.85 - slack
    assert pictures["mad"] >= 0.24 - slack
