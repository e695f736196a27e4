"""Experts that a classifier teaches by images: the objective, its settings and its teacher."""

from copy import deepcopy
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from probe.errors import DataError, OptionError
from probe.images.attributes import load_classifier
from probe.images.pipelines import load_pipeline
from probe.images.plan import GenerationPlan, planned_rows
from probe.moesd import training
from probe.moesd.checkpoint import Checkpoint
from probe.moesd.config import TrainConfig
from probe.moesd.objectives.shown import ShownValues, Teacher, _values_of_experts
from probe.run import Experiment, teaching
from probe.run.evaluation import evaluators
from probe.run.folder import Run
from probe.run.images import make_images
from probe.run.measured_experts import _GivenRoutes
from probe.run.stages.train import Train, train_correction
from probe.text.checkpoints import resolve_model
from probe.text.concepts import load_attributes

TINYTOWN = resolve_model("tinytown")
CONFIG = TrainConfig(
    attributes="gender,skin_tone",
    latent_steps=2,
    width=4,
    gate_reads="bias_score",
    false_alarm=1.0,
)
LABELS = [("gender", ["woman", "man"]), ("skin", ["light", "tan", "brown", "dark"])]


@pytest.fixture(scope="module")
def classifier():
    return load_classifier(TINYTOWN / "classifier")


@pytest.fixture(scope="module")
def trained(town):
    return town.train(config=CONFIG, attributes=load_attributes(CONFIG.attributes))


@pytest.fixture
def of_cells(trained):
    return replace(trained, experts=deepcopy(trained.experts))


def objective(
    moesd,
    classifier,
    pipeline,
    *,
    labels=LABELS,
    subjects=("nurse", "baker"),
    checkpointing=False,
    **more,
):
    teacher = Teacher(classifier, labels, "subject", 3.0, **more)
    prompts = [f"a photo of a {subject}" for subject in subjects]
    batches = {"batch_size": 14, "seed": 0, "checkpointing": checkpointing}
    return ShownValues(moesd, prompts, subjects, pipeline, teacher, **batches)


def test_each_expert_is_asked_for_its_values(of_cells, classifier):
    found = dict(
        zip(
            of_cells.experts.names,
            _values_of_experts(of_cells, Teacher(classifier, LABELS, "subject", 1.0)),
            strict=True,
        )
    )
    gender, skin = (classifier.attributes[name].index for name in ("gender", "skin"))
    assert found["toward-female"] == [gender("woman"), -1]
    assert found["toward-tan"] == [-1, skin("tan")]
    assert found["toward-male and dark"] == [gender("man"), skin("dark")]


def test_the_gradient_reaches_every_expert_and_nothing_else(of_cells, classifier, pipeline_folder):
    pipeline = load_pipeline(pipeline_folder)
    of_cells.experts.requires_grad_(True)  # as before a training has ended
    of = objective(of_cells, classifier, pipeline)
    optimizer = torch.optim.SGD(of.parameters, lr=1.0)
    for _ in range(2):  # the bottlenecks start at zero
        optimizer.zero_grad()
        of.loss().backward()
        optimizer.step()
    still = [name for name, of in of_cells.experts.named_parameters() if not of.grad.any()]
    assert not still
    assert not of_cells.token.vector.requires_grad
    frozen = (pipeline.unet, pipeline.vae, pipeline.text_encoder, classifier.model)
    assert all(weight.grad is None for of in frozen for weight in of.parameters())


@pytest.mark.slow
def test_taught_experts_of_cells_end_a_tenth_short(town, classifier, pipeline_folder, monkeypatch):
    teacher, of = Teacher(classifier, LABELS, "subject", 3.0), {}
    for factor in (training._OF_TAUGHT_CELLS, 1.0):
        monkeypatch.setattr(training, "_OF_TAUGHT_CELLS", factor)
        of[factor] = town.train(
            config=replace(CONFIG, shown_images=1),
            attributes=load_attributes(CONFIG.attributes),
            teacher=teacher,
            pipeline=load_pipeline(pipeline_folder),
        ).experts.adapters
    for name, whole in of[1.0].items():
        factor = 0.9 if " and " in name else 1.0
        torch.testing.assert_close(of[0.9][name].up.weight, factor * whole.up.weight)


@pytest.mark.slow
def test_checkpointing_changes_no_gradient(of_cells, classifier, pipeline_folder):
    pipeline, found = load_pipeline(pipeline_folder), []
    of_cells.experts.requires_grad_(True)
    with torch.no_grad():
        for weight in of_cells.experts.parameters():
            weight += 0.01  # so that every layer has a gradient
    for checkpointing in (False, True):
        of = objective(of_cells, classifier, pipeline, checkpointing=checkpointing, kept=["age"])
        of_cells.experts.zero_grad()
        of.loss().backward()
        found.append([weight.grad.clone() for weight in of.parameters])
    assert all(gradient.any() for gradient in found[0])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_batches_are_drawn_alike_by_all_processes(of_cells, classifier, pipeline_folder):
    pipeline = load_pipeline(pipeline_folder)
    one, other = (objective(of_cells, classifier, pipeline) for _ in range(2))
    one.loss()
    other.skip()
    for a, b in zip(one._draw(), other._draw(), strict=True):
        assert torch.equal(a, b)
    _, experts, _ = one._draw()
    assert sorted(experts.tolist()) == list(range(14))  # each in turn


@pytest.mark.slow
def test_kept_attributes_are_those_of_the_base_models_image(of_cells, classifier, pipeline_folder):
    pipeline = load_pipeline(pipeline_folder)
    plain = objective(of_cells, classifier, pipeline).loss()
    of = objective(of_cells, classifier, pipeline, kept=["age"], of_kept=0.5)
    rows, _, noise = of._draw()
    of.rng.manual_seed(0)
    with torch.no_grad():
        base = of._seen(of._plain[rows.tolist()], noise)["age"].softmax(dim=1)
        # Two steps moved the states by little, so that the images show nearly what the base's do.
        entropy = -(base * base.log()).sum(dim=1).mean()
    assert (of.loss() - plain).item() == pytest.approx(0.5 * entropy.item(), abs=0.05)


def test_a_classifier_that_knows_no_training_occupation_teaches_nothing(
    of_cells, classifier, pipeline_folder
):
    with pytest.raises(DataError, match="knows none of the training occupations"):
        objective(of_cells, classifier, load_pipeline(pipeline_folder), subjects=("sailor",))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"keep": "gender"}, "keep and attributes both name gender"),
        ({"keep": "age", "shown_images": 0}, "needs the objective counterfactual and shown_images"),
        ({"keep": "age", "objective": "latent"}, "needs the objective counterfactual"),
        ({"keep": "height"}, "height"),
    ],
)
def test_settings_that_cannot_keep_an_attribute_are_refused(settings, why):
    with pytest.raises(OptionError, match=why):
        TrainConfig(**settings)


def run_of(folder, **settings):
    experiment = Experiment.create(folder, model="tinytown")
    experiment.set("train", **settings)
    return Run(folder, experiment.config)


def test_gender_alone_has_no_teacher_and_others_have_the_classifier_that_selects(tmp_path):
    assert teaching.teacher_of(run_of(tmp_path / "a")) is None
    assert teaching.taught_from(run_of(tmp_path / "a")) == ""
    assert teaching.teacher_of(run_of(tmp_path / "b", attributes="age", shown_images=0)) is None
    assert teaching.teacher_of(run_of(tmp_path / "d", attributes="age")).kept == ["gender", "skin"]
    of = run_of(tmp_path / "c", keep="age,skin_tone")
    teacher = teaching.teacher_of(of)
    assert teacher.labels == [("gender", ["woman", "man"])]
    assert teacher.kept == ["age", "skin"]
    assert teacher.classifier is evaluators.load_whole_classifier(of, "selector")
    for was_taught in (True, False):
        names = evaluators.classifier_names(of, was_taught=was_taught)
        assert names["teaches"] == ("classifier" if was_taught else "")


def test_a_classifier_without_occupations_teaches_nothing_and_keeps_nothing(tmp_path, monkeypatch):
    seen = SimpleNamespace(attributes={"gender": ["man", "woman"], "age": ["young", "old"]})
    monkeypatch.setattr(evaluators, "load_whole_classifier", lambda *_: seen)
    assert teaching.teacher_of(run_of(tmp_path / "a", attributes="age")) is None
    with pytest.raises(OptionError, match="has to know occupations and to pass gradients"):
        teaching.teacher_of(run_of(tmp_path / "b", keep="age"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_taught_experts_show_their_values_to_another_classifier_in_new_occupations(tmp_path):
    """Of tinytown, whose images follow the words "young" and "middle-aged" in 4 of 10."""
    settings = {"attributes": "age", "n_occupations": 0, "measured_images": 0}
    shown = {}
    for n_images in (0, 200):
        run = run_of(tmp_path / str(n_images), shown_images=n_images, **settings)
        experiment = Experiment.open(run.folder)
        for stage in (experiment.embed, experiment.fit):
            stage()
        moesd = train_correction(run)
        shown[n_images] = shares_of_values(run, moesd)
    values = ("young", "middle-aged", "old")
    words, taught = (np.mean([shown[n][value] for value in values]) for n in (0, 200))
    assert taught > words + 0.08, shown
    assert shown[200]["subject"] > 0.97, shown


def shares_of_values(run, moesd):
    """How often images of validation occupations show each expert's value, and the occupation."""
    rows = [
        row
        for subject in run.lexicon.occupations_of("validation")
        for value in ("young", "middle-aged", "old")
        for row in planned_rows(
            f"toward-{value}", subject, [f"a photo of a {subject}"], 8, "test of shown values"
        )
    ]
    plan, folder = GenerationPlan(pd.DataFrame(rows)), run.folder / "shown"
    method = _GivenRoutes(moesd, plan.table["kind"].tolist())
    pipeline = run.load_pipeline(encoders=moesd.encoders)
    images = make_images(run, pipeline, plan, folder, intervention=method, label="images")
    scorer = evaluators.load_whole_classifier(run, "classifier")
    seen = scorer.label([folder / file for file in images["file_name"]])
    value = plan.table["kind"].str.removeprefix("toward-").to_numpy()
    found = {of: float((seen["age"][value == of] == of).mean()) for of in np.unique(value)}
    return found | {"subject": float((seen["subject"] == plan.table["subject"]).mean())}


def test_what_a_teacher_depends_on_is_in_the_hash_of_the_training(run):
    def made_from(**settings):
        config = Run(run, Experiment.open(run).config).config
        train = replace(config.train, objective="counterfactual", latent_steps=2, **settings)
        return Train().made_from(
            Run(run, type(config)(config.model, {**config.tables, "train": train}))
        )

    variants = [{}, {"keep": "age"}, {"keep": "age,skin_tone"}, {"keep": "age", "shown_images": 9}]
    assert len({made_from(**settings) for settings in variants}) == 4


@pytest.mark.slow
def test_a_teaching_that_is_stopped_ends_in_the_same_experts(
    town, classifier, pipeline_folder, provenance, tmp_path
):
    config = replace(CONFIG, shown_images=10)  # after two steps of words, two of images
    teacher = Teacher(classifier, LABELS, "subject", 3.0)
    pipeline = load_pipeline(pipeline_folder)
    made = replace(provenance, kind="training-state")
    kept = Checkpoint(tmp_path / "state.safetensors", made, asdict(config), float("inf"))

    def go(stop_at=None):
        def tell(done, total):
            if done == stop_at:
                raise KeyboardInterrupt

        more = {"pipeline": pipeline, "teacher": teacher, "checkpoint": kept, "progress": tell}
        attributes = load_attributes(CONFIG.attributes)
        return town.train(config=config, attributes=attributes, **more).weights()

    whole = go()
    kept.remove()
    with pytest.raises(KeyboardInterrupt):
        go(stop_at=3)
    for name, weight in go().items():
        assert torch.equal(weight, whole[name]), name
