"""The router minimal of a run: images by the base model are counted, and few are corrected."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from figures.cards import correction_card
from probe.errors import ArtifactError
from probe.io.artifacts import read_json, write_json
from probe.moesd.model import MoESD
from probe.run import Experiment
from probe.run import intervention as interventions
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.intervention import intervention, router_with_counts
from probe.run.stages.train import train_correction

N = 4
COUNTED = "images/counted.json"


@pytest.fixture
def of_skin(run, monkeypatch):
    """A run that corrects skin tone, and sees light skin in three of four images, tan in one."""

    def label(files):
        seen = ["tan" if file.stem.endswith("3") else "light" for file in files]
        return pd.DataFrame({"skin": seen})

    seen = SimpleNamespace(attributes={"skin": ("light", "tan", "brown", "dark")}, label=label)
    monkeypatch.setattr(interventions.evaluators, "load_whole_classifier", lambda *_: seen)
    return run_that_counts(run)


def run_that_counts(folder, **settings):
    config = Config.read(folder)
    of = {"attributes": "skin_tone", "objective": "counterfactual", "latent_steps": 2}
    train = replace(config.train, **of, shown_images=0, measured_images=0)
    generate = replace(config.generate, **{"routing": "minimal", "base_images": N, **settings})
    return Run(
        folder, Config(config.model, {**config.tables, "train": train, "generate": generate})
    )


def neutral(run, n):
    return [f"a photo of a {job}" for job in run.lexicon.occupations_of("train")[:n]]


def test_only_what_the_base_model_is_short_of_is_corrected(of_skin):
    moesd, prompts = train_correction(of_skin), neutral(of_skin, 2)
    pipeline = of_skin.load_pipeline(encoders=moesd.encoders)
    method = intervention(of_skin, moesd, pipeline, [*prompts * 2, "a photo of a tree"])
    found = read_json(of_skin.folder / COUNTED, kind="counted-images")[0]["prompts"]
    assert found == {
        prompt: [3, 1, 0, 0] for prompt in moesd.opened([*prompts, "a photo of a tree"])
    }
    assert not (of_skin.folder / "images" / "counted").exists()
    routes = [of.route for of in method.conditions(prompts[:1] * 2000, range(2000))]
    shares = np.array([3.25, 1.25, 0.25, 0.25]) / 5
    kept = 0.25 / shares[0]
    expected = {"": kept}
    for value, share in zip(("tan", "brown", "dark"), shares[1:], strict=True):
        expected[f"toward-{value}"] = 0.25 - kept * share
    assert "toward-light" not in routes
    for route, share in expected.items():
        assert routes.count(route) / 2000 == pytest.approx(share, abs=0.01)


def test_a_prompt_is_counted_once_until_a_setting_changes(of_skin, monkeypatch):
    made, moesd, prompts = [], train_correction(of_skin), neutral(of_skin, 3)
    make_images = interventions.make_images

    def noted(run, pipeline, plan, folder, **options):
        made.append(len(plan))
        return make_images(run, pipeline, plan, folder, **options)

    monkeypatch.setattr(interventions, "make_images", noted)
    pipeline = of_skin.load_pipeline(encoders=moesd.encoders)
    for of, few in (
        (of_skin, prompts[:1]),
        (of_skin, prompts[:1]),
        (of_skin, prompts),
        (run_that_counts(of_skin.folder, strength=0.0), ["a photo of a judge"]),
        (run_that_counts(of_skin.folder, routing="bernoulli"), ["a photo of a judge"]),
        (run_that_counts(of_skin.folder, base_images=2), prompts[:1]),
    ):
        intervention(of, moesd, pipeline, few)
    assert made == [N, 2 * N, 2]


@pytest.mark.parametrize("damage", [None, {"a photo of a cook": [1, 2]}, {"a": [1, 1, 1, -1]}])
def test_counts_that_are_none_are_refused(of_skin, damage):
    moesd = train_correction(of_skin)
    pipeline = of_skin.load_pipeline(encoders=moesd.encoders)
    intervention(of_skin, moesd, pipeline, neutral(of_skin, 1))
    path = of_skin.folder / COUNTED
    found, provenance = read_json(path, kind="counted-images")
    write_json(path, {**found, "prompts": damage}, provenance)
    with pytest.raises(ArtifactError, match="holds no counts of 4 values; delete it"):
        intervention(of_skin, moesd, pipeline, neutral(of_skin, 1))


@pytest.mark.slow
def test_what_was_counted_is_published_with_the_correction(run):
    experiment = Experiment.open(run)
    experiment.train(objective="counterfactual")
    experiment.generate(routing="minimal", base_images=2, n_images=1)
    experiment.evaluate()
    experiment.publish(run / "hub", correction_card)
    published, ours = MoESD.from_pretrained(run / "hub"), MoESD.load(run / "moesd")
    of_run = Run(run, experiment.config)
    router, prompts = router_with_counts(of_run), [*published.router.counted]
    assert prompts
    for prompt in prompts:
        np.testing.assert_allclose(published.router.counted[prompt], router.counted[prompt])
    conditions = [
        of.intervention().conditions(prompts * 9, range(9 * len(prompts)))
        for of in (published, replace(ours, router=router))
    ]
    assert conditions[0] == conditions[1]
    assert "" in {of.route for of in conditions[0]}
