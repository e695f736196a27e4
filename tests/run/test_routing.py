from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from probe.images.pipelines import load_pipeline
from probe.images.plan import read_metadata
from probe.moesd.config import TrainConfig
from probe.moesd.experts import DIRECTIONS
from probe.moesd.model import MoESD
from probe.moesd.router import ROUTERS, SERVED, Router
from probe.run import Experiment
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.intervention import intervention
from probe.run.routing import router_of, target_line, target_of
from probe.run.stages.generate import GenerateConfig
from probe.text.lexicon import Lexicon


@pytest.fixture(scope="module")
def moesd(finished_run):
    return MoESD.load(finished_run / "moesd")


@pytest.fixture
def producers(moesd):
    return replace(moesd, objective="counterfactual", router=Router("bernoulli"))


def run_that_sends(routing, folder, objective="both", **settings):
    tables = {
        "generate": GenerateConfig(routing=routing, min_explained=0.0, **settings),
        "train": TrainConfig(objective=objective),
    }
    return Run(folder, Config("tinytown", tables))


def opened(moesd):
    prompts = [f"a portrait of a {noun}" for noun in moesd.token.subjects]
    return next(iter(moesd.opened(prompts)))


def test_a_correction_is_routed_as_it_was_trained_unless_another_router_is_asked_for(
    moesd, tmp_path
):
    calibrated = replace(moesd.router, kind="calibrated")
    assert router_of(run_that_sends("default", tmp_path), calibrated).kind == "calibrated"
    assert router_of(run_that_sends("default", tmp_path)).kind == "top1"
    assert router_of(run_that_sends("top1", tmp_path), calibrated).kind == "top1"
    for objective, served in SERVED.items():
        run = run_that_sends("default", tmp_path, objective)
        assert router_of(run).kind == served[0]


def test_top1_sends_every_picture_of_a_prompt_the_same_way(moesd, tmp_path):
    method = intervention(run_that_sends("top1", tmp_path), moesd, None, [])
    assert len(set(method.conditions([opened(moesd)] * 9, range(9)))) == 1


@pytest.mark.parametrize("routing", ["top1", pytest.param("calibrated", marks=pytest.mark.slow)])
def test_half_strength_moves_states_half_as_far(moesd, tmp_path, pipeline_folder, routing):
    prompt, pipeline = opened(moesd), load_pipeline(pipeline_folder)
    states = moesd.encoder.states([prompt])
    moved, target = [], "parity" if routing == "top1" else "0.3"
    for strength in (0.5, 1.0):
        run = run_that_sends(routing, tmp_path, target=target, strength=strength)
        method = intervention(run, moesd, pipeline, [])
        moved.append(method.correct(method.conditions([prompt], [1]), states))
    assert not torch.equal(moved[1], states)
    torch.testing.assert_close(moved[0], (states + moved[1]) / 2)


@pytest.mark.parametrize(("target", "share"), [("parity", 0.5), ("0.25", 0.25)])
def test_stratified_routing_meets_the_target_image_by_image(producers, tmp_path, target, share):
    run = run_that_sends("stratified", tmp_path, "counterfactual", target=target)
    method = intervention(run, producers, None, [])
    routes = [c.route for c in method.conditions([opened(producers)] * 80, range(80))]
    assert set(routes) == set(DIRECTIONS)
    assert abs(routes.count(DIRECTIONS[0]) - 80 * share) <= 3


@pytest.mark.parametrize("routing", ROUTERS)
def test_at_strength_0_every_picture_is_the_base_models(moesd, tmp_path, routing):
    objective = "both" if routing == "top1" else "counterfactual"
    moesd = replace(moesd, objective=objective, router=Router(routing))
    method = intervention(
        run_that_sends(routing, tmp_path, objective, strength=0.0), moesd, None, []
    )
    prompt = opened(moesd)
    conditions = method.conditions([prompt] * 5, range(5))
    states = moesd.encoder.states([prompt] * 5)
    assert torch.equal(method.correct(conditions, states), states)
    assert not any(condition.route for condition in conditions)


def test_a_dialled_correction_leaves_closed_prompts_alone_bit_for_bit(moesd, tmp_path):
    method = intervention(run_that_sends("top1", tmp_path, strength=0.3), moesd, None, [])
    said = [f"a photo of a {of} {job}" for of in ("male", "female") for job in ("cook", "nurse")]
    closed = sorted(set(said) - set(moesd.opened(said)))
    assert closed
    states, conditions = moesd.encoder.states(closed), method.conditions(closed, range(len(closed)))
    assert torch.equal(method.correct(conditions, states), states)


def test_the_labour_market_is_a_target(tmp_path):
    target = target_of(run_that_sends("stratified", tmp_path, target="labour"))
    for job in Lexicon.load().occupations:
        assert target.of(f"a photo of a {job.name}")[0] == pytest.approx(job.share_women)


def test_an_edited_table_makes_the_pictures_stale(tmp_path):
    table = tmp_path / "target.toml"
    table.write_text('values = ["woman", "man"]\ndefault = [0.4, 0.6]\n')
    run = run_that_sends("stratified", tmp_path, target=str(table))
    np.testing.assert_allclose(target_of(run).of("a nurse"), [0.4, 0.6])
    before = target_line(run)
    table.write_text('values = ["man", "woman"]\ndefault = [0.4, 0.6]\n')
    np.testing.assert_allclose(target_of(run).of("a nurse"), [0.6, 0.4])
    assert target_line(run) != before


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["recommended", "paper"])
def test_what_train_saves_attached_makes_the_images_that_evaluate_measures(run, recipe):
    """One command from the training to the corrected pipeline, and the same images bit for bit."""
    experiment = Experiment.open(run).set("generate", batch_size=1, n_images=2)
    experiment.train(recipe=recipe, unet_width=2, diffusion_steps=2)
    experiment.generate()
    config = experiment.config.generate
    table = read_metadata(run / "images/moesd")
    base = read_metadata(run / "images/base").set_index("file_name")["key"]
    moved = table[table["key"] != table["file_name"].map(base)]
    same = table.drop(moved.index)
    assert len(moved)
    assert len(same)
    pipeline = load_pipeline(experiment.config.model)
    with MoESD.load(run / "moesd").attach(pipeline):
        for row in pd.concat([moved.head(6), same.head(6)]).itertuples():
            [image] = pipeline(
                row.prompt,
                guidance_scale=config.guidance_scale,
                num_inference_steps=config.n_steps,
                generator=torch.Generator().manual_seed(row.seed),
            ).images
            with Image.open(run / "images/moesd" / row.file_name) as kept:
                np.testing.assert_array_equal(np.asarray(image), np.asarray(kept))
