from dataclasses import replace

import numpy as np
import pytest

from probe.experiment.config import Config, GenerateConfig
from probe.experiment.run import Run
from probe.experiment.sending import intervention, read_base_shares, twins_of
from probe.images.pipelines import load_pipeline
from probe.latent.directions import PairDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.experts import DIRECTIONS
from probe.moesd.training import train_moesd
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet


@pytest.fixture(scope="module")
def moesd(pipeline_folder):
    encoder, prompts = TextEncoder.load(pipeline_folder), PromptSet.build(Lexicon.load())
    subjects = list(dict.fromkeys(prompts.table["subject"]))
    prompts = prompts.select(subject=[*subjects[:12], *subjects[-4:]])
    vectors = encoder.embed(prompts.prompts)
    male, female = prompts.pairs()
    direction = PairDirection().fit(vectors[male], vectors[female])
    return train_moesd(
        encoder,
        prompts,
        vectors,
        direction=direction.result(concept="gender", encoder=encoder.revision),
        projection=CalibratedProjection().fit(vectors[male], vectors[female]),
        config=TrainConfig(objective="latent", latent_steps=1, width=4),
    )


def run_that_sends(sending, folder):
    config = Config(model=str(folder), generate=GenerateConfig(sending=sending))
    return Run(folder, config)


def opened(moesd):
    prompts = ["a photo of a carpenter", "a photo of a mechanic", "a driver", "a laborer"]
    return moesd.opened(prompts)[0]


def test_a_lean_sends_every_picture_of_a_prompt_the_same_way(moesd, tmp_path):
    method = intervention(run_that_sends("by-lean", tmp_path), moesd, None)
    assert len(set(method.conditions([opened(moesd)] * 9, range(9)))) == 1


def test_seeds_send_as_many_pictures_to_each_expert(moesd, tmp_path):
    method = intervention(run_that_sends("by-seed", tmp_path), moesd, None)
    routes = [c.route for c in method.conditions([opened(moesd)] * 32, range(32))]
    assert set(routes) == set(DIRECTIONS)
    assert abs(routes.count(DIRECTIONS[0]) - 16) <= 2


def test_sparing_sends_what_the_shares_that_are_read_off_the_denoiser_lack(
    moesd, tmp_path, pipeline_folder
):
    run, prompt = run_that_sends("sparing", tmp_path), opened(moesd)
    pipeline = load_pipeline(pipeline_folder)
    [base] = read_base_shares(run, moesd, pipeline, [prompt])
    np.testing.assert_allclose(base.sum(), 1.0)
    method = intervention(run, moesd, pipeline)
    routes = [c.route for c in method.conditions([prompt] * 200, range(200))]
    missing = int(base[0] > 0.5)
    sent = (0.5 - base[missing]) / (1 - base[missing])
    assert routes.count(DIRECTIONS[1 - missing]) == 0
    assert abs(routes.count(DIRECTIONS[missing]) - 200 * sent) <= 4


def test_twins_say_the_first_adjectives_of_the_lexicon():
    assert twins_of(Lexicon.load()).words == ("female", "male")


def test_an_unknown_way_of_sending_is_refused_by_name():
    with pytest.raises(ValueError, match="sending is 'by-hope'; needed one of by-lean"):
        replace(GenerateConfig(), sending="by-hope")
