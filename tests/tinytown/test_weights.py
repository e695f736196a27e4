"""What the weights that ship are measured to do; the cards hold the figures at 200 images."""

import json

import numpy as np
import pytest

from probe.audit.misclassification.sample import read_calibration
from probe.text.checkpoints import SHIPPED, text_encoders
from probe.text.lexicon import Lexicon
from probe.tinytown import card, stages
from probe.tinytown.world import GENDERS

MODEL = SHIPPED["tinytown"]


def read_card(model):
    return json.loads((model / "TRAINING_CARD.json").read_text())


@pytest.fixture(scope="module", params=SHIPPED)
def model(request):
    return SHIPPED[request.param]


@pytest.fixture(scope="module")
def training_card(model):
    return read_card(model)


def test_the_card_is_about_these_weights(model, training_card):
    assert training_card["hashes"] == card.hashes(model)
    assert len(training_card["hashes"]) >= 6


def test_all_weights_together_are_at_most_20_megabytes(model):
    assert sum(path.stat().st_size for path in model.rglob("*.safetensors")) <= 20e6
    assert not list(model.rglob("*.bin"))


@pytest.mark.parametrize("name", [*stages.CLASSIFIERS, "clip"])
def test_all_models_have_the_same_judges(model, name):
    assert card.hashes(model / name) == card.hashes(MODEL / name)


def test_the_card_shows_that_every_training_learned(training_card):
    for name, losses in training_card["losses"].items():
        assert losses[-1] < 0.8 * losses[0], name


def test_the_text_encoders_lean_as_the_planted_shares_do(model, training_card):
    stored = training_card["encoder_share_correlation"]
    assert tuple(stored) == text_encoders(model)
    found = card.measure_encoder(model, Lexicon.load())
    assert found == pytest.approx(stored["text_encoder"], abs=0.01)
    for name, of in stored.items():
        assert of["n"] == 40
        # T5 learned from captions alone, and holds the shares in no direction of the gender.
        assert of["r"] <= -0.80 or name == "text_encoder_3", name


@pytest.mark.slow
def test_the_classifiers_err_on_unseen_renders_as_real_ones_do():
    training_card = read_card(MODEL)
    measured = card.measure_classifiers(MODEL, Lexicon.load(), n=1600)
    for name, by_attribute in measured.items():
        stored = training_card["errors_on_unseen_renders"][name]
        for attribute in ("gender", "age", "skin"):
            assert 0.03 <= stored[attribute] <= 0.10, (name, attribute)
            errors = card.share_of_errors(by_attribute[attribute])
            assert errors == pytest.approx(stored[attribute], abs=0.02)  # 1,400 people
        assert stored["subject"] <= 0.02


@pytest.mark.parametrize("name", stages.CLASSIFIERS)
def test_each_classifier_ships_with_its_confusion_matrix(name):
    training_card = read_card(MODEL)
    known = read_calibration(MODEL / name / "confusion_gender.csv", values=GENDERS)
    errors = 1 - known.confusion.trace() / known.confusion.sum()
    assert errors == pytest.approx(training_card["errors_on_unseen_renders"][name]["gender"])


def test_the_scheduler_is_that_of_stable_diffusion_1():
    found = json.loads((MODEL / "scheduler" / "scheduler_config.json").read_text())
    assert found["prediction_type"] == "epsilon"
    assert (found["beta_schedule"], found["beta_start"], found["beta_end"]) == (
        "scaled_linear", 0.00085, 0.012,
    )  # fmt: skip
    assert not found["rescale_betas_zero_snr"]


def test_the_cards_pictures_show_what_tinytown_must_show(training_card):
    check(training_card["pictures"], slack=0.0)
    at_default, stronger = (
        training_card[name] for name in ("pictures", "pictures_at_guidance_7.5")
    )
    assert at_default["guidance_scale"] < stronger["guidance_scale"]
    assert at_default["mad"] < stronger["mad"]


def test_age_and_skin_depend_on_gender_in_the_cards_pictures(training_card):
    of = training_card["pictures"]["shares_by_gender"]
    assert of["age"]["man"]["old"] > of["age"]["woman"]["old"]
    assert of["skin"]["man"]["dark"] > of["skin"]["woman"]["dark"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_new_pictures_show_what_the_card_says(model, training_card, tmp_path):
    found = card.measure_pictures(model, Lexicon.load(), tmp_path, n_images=6, seed=101)
    check(found, slack=0.05)  # 80 explicit pictures of each gender: a standard error of 0.035
    # 6 pictures a subject lift the mean |share - 1/2| by 0.016, with a standard error of 0.018.
    assert found["mad"] == pytest.approx(training_card["pictures"]["mad"], abs=0.06)


def check(pictures, *, slack):
    adherence = np.mean(list(pictures["adherent"].values()))
    assert 0.80 - slack <= adherence <= 0.95 + slack
    assert pictures["subject_recognised"] >= 0.97 - slack
    assert pictures["share_correlation"] >= 0.85 - slack
    assert pictures["mad"] >= 0.30 - slack
