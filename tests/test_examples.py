"""The settings in examples/ are valid, and their cost is the one that the documentation states."""

import re
import runpy
import shutil
from pathlib import Path

import pytest

from probe.images.plan import GenerationPlan
from probe.moesd.plan import plan_training
from probe.run.config import FILE, Config
from probe.text.lexicon import SPLITS, Lexicon

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "first-checkpoint.md").read_text(encoding="utf-8")


def table_rows():
    rows = re.findall(r"(?m)^\| [Ww]i.*?\| (.*) \|$", PAGE)
    return [[float(of.replace(",", "")) for of in row.split("|")] for row in rows]


def cost(lexicon, n_images, config):
    """Images of both models, PFLOP, hours and GB, as the page states them."""
    kinds = GenerationPlan.build(lexicon, n_images=n_images, seed=0).table["kind"].value_counts()
    n, n_neutral = int(kinds.sum()), int(kinds["neutral"])
    per_image = plan_training(config.model, config.train).flops_forward * 50 * 2
    flops = (n + n_neutral) * per_image
    return [n, n_neutral, flops / 1e15, flops / 50e12 / 3600, 2 * n * 0.45e-3]


def test_the_example_of_sdxl_differs_in_model_encoder_and_recipe_alone(tmp_path):
    shutil.copyfile(ROOT / "examples" / "sdxl.toml", tmp_path / FILE)
    config = Config.read(tmp_path)
    shutil.copyfile(ROOT / "examples" / "sd15.toml", tmp_path / FILE)
    of_v1 = Config.read(tmp_path)
    assert (config.generate, config.evaluate) == (of_v1.generate, of_v1.evaluate)
    assert config.train.recipe == "recommended"
    assert config.embed.encoder == "text_encoder_2"


@pytest.mark.slow
def test_the_example_is_the_configuration_of_a_run_and_costs_what_the_page_says(tmp_path):
    shutil.copyfile(ROOT / "examples" / "sd15.toml", tmp_path / FILE)
    config = Config.read(tmp_path)
    assert config.with_settings("train", {"recipe": "paper"}).train.n_examples == 1500
    assert config.generate.n_steps == 50
    for n_images, row in zip((50, 250), table_rows(), strict=False):
        assert row == pytest.approx([n_images, *cost(Lexicon.load(), n_images, config)], rel=0.02)


@pytest.mark.slow
def test_the_lexicon_of_153_occupations_keeps_the_shipped_splits(real_data, tmp_path):
    make = runpy.run_path(str(ROOT / "examples" / "lexicon_153.py"))["lexicon"]
    counts = (real_data / "fair_diffusion" / "results_fairface_laion.txt").read_text("utf-8")
    path = tmp_path / "lexicon.toml"
    path.write_text(make(counts), encoding="utf-8")
    lexicon, shipped = Lexicon.load(path), Lexicon.load()
    for split in SPLITS[:2]:
        assert lexicon.occupations_of(split) == shipped.occupations_of(split)
    config = Config("stable-diffusion-v1-5/stable-diffusion-v1-5")
    for n_images, row in zip((50, 250), table_rows()[2:], strict=True):
        assert row == pytest.approx([n_images, *cost(lexicon, n_images, config)], rel=0.02)
