import json
import re
import shutil
import subprocess
import sys

import pytest
import torch

from figures.cards import correction_card
from figures.cards.section import plain
from probe.errors import DataError
from probe.moesd.model import MoESD
from probe.run import Experiment


@pytest.fixture(scope="module")
def published(finished_run, tmp_path_factory, done):
    folder = tmp_path_factory.mktemp("hub") / "correction"
    found = json.loads(done("publish", finished_run, folder, "--json"))
    assert set(found["files"]) == {path.name for path in folder.iterdir()}
    return folder


def test_what_was_published_corrects_as_the_run_does(published, finished_run):
    ours, theirs = MoESD.load(finished_run / "moesd"), MoESD.from_pretrained(published)
    prompts = ["a photo of a nurse", "a photo of a mechanic", "a photo of a tree"]
    states = ours.encoder.states(prompts)
    assert torch.equal(ours.correct(prompts, states), theirs.correct(prompts, states))


def test_the_card_holds_the_figures_of_the_run_with_their_intervals(published, finished_run):
    card = (published / "README.md").read_text()
    quality = json.loads((finished_run / "evaluation" / "quality.json").read_text())
    for side in ("base", "corrected"):
        for found in (quality[side]["mad"], quality[side]["test"]["mad"]):
            assert f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" in card
    assert f"{quality['n_images']['base']} images of each model" in card
    assert f"{quality['base']['mad']['floor']:.3f} |" in card
    assert "| n_examples | 80 |" in card
    recipe = Experiment.open(finished_run).config.train.recipe_line
    assert recipe.startswith("recommended with objective = 'both'")
    assert f"| recipe | {plain(recipe)} |" in card
    assert f"MoESD, recipe {plain(recipe)}; occupations" in card
    assert "## Limits" in card
    assert "tinytown" not in card  # this run's model is another
    assert card.startswith("---\nlibrary_name: diffusers\n")


def test_a_folder_that_holds_something_is_not_written_into(finished_run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        Experiment.open(finished_run).publish(tmp_path, correction_card)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_card_says_which_prompts_its_recipe_changes(run):
    experiment = Experiment.open(run)
    for objective, which in (("both", "that are skewed"), ("counterfactual", "about people")):
        experiment.train(objective=objective)
        assert f"They change prompts {which}" in correction_card(run)


@pytest.mark.slow
def test_a_published_correction_has_the_router_of_its_figures(run, tmp_path):
    experiment = Experiment.open(run)
    experiment.generate(strength=0.5)
    experiment.evaluate()
    experiment.publish(tmp_path / "hub", correction_card)
    published, ours = (MoESD.from_pretrained(of) for of in (tmp_path / "hub", run / "moesd"))
    assert (published.router.strength, ours.router.strength) == (0.5, 1.0)


@pytest.mark.slow
def test_the_code_of_the_card_runs_as_it_stands_in_a_fresh_process(
    published, model_folder, tmp_path
):
    folder = shutil.copytree(published, tmp_path / "hub")
    (folder / model_folder.name).symlink_to(model_folder)  # a card names no path of a machine
    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert repr(model_folder.name) in code
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    assert (folder / "nurse.png").is_file()
