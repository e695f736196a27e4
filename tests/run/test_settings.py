"""Settings: checked before any work, kept by commands that succeed, complete when moved."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import transformers
from PIL import Image

from figures.text.terms import BOUNDED
from probe.audit.release_gate import Bound, _names, check_names
from probe.errors import ArtifactError, DataError, OptionError, ProbeError, StageError
from probe.moesd.model import MoESD
from probe.run import Experiment
from probe.run.config import Config
from probe.run.registry import STAGES
from probe.run.stages import generate
from probe.run.sweep import parse_axes, run_sweep
from probe.text.embeddings import EmbeddingStore
from probe.text.encoder import TextEncoder

TABLE = 'values = ["woman", "man"]\n[subjects]\nnurse = [0.25, 0.75]\n'


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "shares.toml"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize(
    ("stage", "settings", "error", "message"),
    [
        ("train", {"precision": "fp16"}, OptionError, "fp16 on a CPU; choose bf16 or fp32"),
        ("generate", {"target": "junk"}, OptionError, "target is 'junk'; there is no such file"),
        ("generate", {"target": "1.5"}, OptionError, "target is 1.5; needed a number from 0 to 1"),
        ("generate", {"target": "TABLE"}, DataError, r"subject 'nurs' \(did you mean 'nurse'"),
        ("generate", {"strength": 1.2}, OptionError, "strength is 1.2; needed at most 1"),
        ("generate", {"routing": "bernoulli"}, OptionError, "objective 'both' serve"),
        ("generate", {"routing": "top1", "target": "0.3"}, OptionError, "only meet .* parity"),
        ("evaluate", {"attribute": "mood"}, DataError, "but not 'mood'"),
        ("evaluate", {"faces": "notes.md"}, ProbeError, r"notes\.md"),
        ("evaluate", {"features": "nosuch"}, ProbeError, "nosuch"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_work_and_changes_nothing(
    run, monkeypatch, table, stage, settings, error, message, contents
):
    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("worked")

    monkeypatch.setattr(type(STAGES[stage]), "make", work)
    table.write_text(TABLE.replace("nurse", "nurs"))
    if stage == "generate":
        settings = {"routing": "calibrated", **settings}
    settings = {name: str(table) if of == "TABLE" else of for name, of in settings.items()}
    before = contents(run)
    with pytest.raises(error, match=message):
        getattr(Experiment.open(run), stage)(**settings)
    assert contents(run) == before


def test_settings_of_a_stage_whose_requirement_is_unmet_are_not_kept(run, contents):
    (run / "latent/direction.safetensors").unlink()
    before = contents(run)
    with pytest.raises(StageError, match="requires fit"):
        Experiment.open(run).train(latent_steps=3)
    with pytest.raises(StageError, match="requires fit"):
        Experiment.open(run).study("directions", n_bootstrap=7)
    assert contents(run) == before


def test_a_command_that_fails_half_way_takes_its_settings_and_files_back(
    run, table, monkeypatch, contents
):
    experiment = Experiment.open(run).set("generate", routing="calibrated", target=str(table))
    before = contents(run)

    def fail(self: object, run: object) -> None:
        raise DataError("a full disk")

    monkeypatch.setattr(generate.Generate, "make", fail)
    table.write_text(TABLE.replace("0.25, 0.75", "0.5, 0.5"))
    with pytest.raises(DataError, match="a full disk"):
        experiment.generate(target=str(table), n_images=5)
    assert contents(run) == before
    assert experiment.config.generate.n_images == 8


@pytest.mark.slow
def test_a_run_with_files_of_the_user_is_complete_when_moved(run, table, tmp_path):
    sample = tmp_path / "labelled.csv"
    rows = [("woman", "woman")] * 9 + [("woman", "man")] + [("man", "man")] * 10
    sample.write_text("true,seen\n" + "\n".join(map(",".join, rows)) + "\n")
    experiment = Experiment.open(run)
    experiment.generate(routing="calibrated", target=str(table))
    experiment.evaluate(calibration=str(sample))
    table.unlink()
    sample.unlink()
    moved = run.rename(tmp_path / "moved")
    experiment = Experiment.open(moved)
    assert experiment.config.generate.target == "target.toml"
    assert experiment.config.evaluate.calibration == "calibration.csv"
    assert (moved / "target.toml").read_text() == TABLE
    assert not experiment.generate().was_made
    assert not experiment.evaluate().was_made
    assert experiment.generate(n_images=2).was_made


@pytest.mark.parametrize("place", ["../outside", "ABSOLUTE", "link.toml"])
@pytest.mark.parametrize(
    "name", ["embed.lexicon", "embed.prompts", "generate.target", "evaluate.calibration"]
)
def test_a_setting_of_the_file_may_not_lead_out_of_the_run(run, tmp_path, name, place):
    stage, setting = name.split(".")
    outside = tmp_path / "outside"
    outside.write_text(TABLE)
    experiment = Experiment.open(run)
    (run / "link.toml").symlink_to(outside)
    value = str(outside) if place == "ABSOLUTE" else place
    settings = {setting: value} | ({"routing": "calibrated"} if setting == "target" else {})
    experiment.config.with_settings(stage, settings).write(run)
    with pytest.raises(ArtifactError, match="outside the run folder"):
        Experiment.open(run)


def test_run_checks_every_setting_before_it_makes_the_first_stage(run, drawing, contents):
    config = Experiment.open(run).config
    config = config.with_settings("generate", {"routing": "calibrated", "target": 0.5})
    assert config.generate.target == "0.5"  # a number is read as text, as in a file
    config = config.with_settings("train", {"latent_steps": 3})
    config.with_settings("generate", {"target": "nosuch.toml"}).write(run)
    before = contents(run)
    with pytest.raises(DataError, match=r"there is no target .*nosuch\.toml"):
        Experiment.open(run).run(*drawing)
    assert contents(run) == before


def test_a_bound_on_an_unknown_figure_is_refused_before_any_work(run, contents, refusal):
    (run / "evaluation/quality.json").unlink()
    before = contents(run)
    line = refusal("check", run, "--fail-above", "trained.mda=0.2", code=2)
    assert "there is no figure 'trained.mda' (did you mean 'mad'?)" in line
    assert contents(run) == before


def test_every_figure_of_a_run_can_be_bounded(finished_run):
    quality = json.loads((finished_run / "evaluation/quality.json").read_text())
    bounds = [Bound(name, 0.0) for name in _names(quality)]
    assert len(bounds) > 20
    check_names(bounds, BOUNDED)


@pytest.mark.slow
def test_the_recipe_of_the_paper_is_trained_on_pairs_that_the_run_keeps(run, tmp_path, done):
    folder = tmp_path / "pairs"
    folder.mkdir()
    captions = ["a man on a horse", "a woman at a desk", "a female nurse"]
    for number in range(3):
        Image.new("RGB", (20, 30), (number, 0, 0)).save(folder / f"{number}.png")
    rows = [{"file_name": f"{n}.png", "text": text} for n, text in enumerate(captions)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ("--recipe", "paper", "--examples", folder, "--diffusion-steps", 2)
    assert "trained on 2 images" in done("train", run, *options)
    shutil.rmtree(folder)
    moved = run.rename(tmp_path / "moved")
    assert "train: skipped" in done("train", moved)
    line = "paper with diffusion_steps = 2"
    assert f"recipe {line}" in done("info", moved)
    assert json.loads((moved / "moesd/config.json").read_text())["recipe"] == line
    assert MoESD.load(moved / "moesd").recipe == line
    swept = run_sweep(moved, parse_axes(["train.diffusion_steps=2"]))  # reads them from the run
    assert len(swept.table["variant"].unique()) == 1
    variant = moved / "sweeps/diffusion_steps/diffusion_steps=2"
    assert not Config.read(variant).train.reads_validation  # they are what it is compared by


@pytest.fixture
def decoder(tmp_path: Path, pipeline_folder: Path) -> Path:
    """The folder of a decoder-only encoder of random weights."""
    words = transformers.CLIPTokenizer.from_pretrained(pipeline_folder / "tokenizer")
    config = transformers.Gemma2Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    transformers.Gemma2Model(config).save_pretrained(tmp_path / "decoder")
    words.save_pretrained(tmp_path / "decoder")
    return tmp_path / "decoder"


def test_a_run_keeps_the_instruction_that_its_encoder_reads(
    decoder, small_lexicon, tmp_path, done, refusal
):
    told, plain = tmp_path / "told", tmp_path / "plain"
    start = "--model", decoder, "--lexicon", small_lexicon
    done("embed", told, *start, "--instruction", "Be fair: ")
    done("embed", plain, *start)
    prompts = EmbeddingStore.open(told / "embeddings").prompt_set.prompts
    kept = replace(TextEncoder.load(decoder).conditioning, instruction="Be fair: ")
    for run, conditioning in ((told, kept), (plain, None)):
        expected = TextEncoder.load(decoder, conditioning=conditioning).embed(prompts)
        found = EmbeddingStore.open(run / "embeddings").vectors()
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert Experiment.open(told).config.embed.instruction == "Be fair: "
    done("embed", told)  # without the option again
    message = refusal("embed", told, "--instruction", "Be bold: ")
    assert "'Be fair: ', not of 'Be bold: '; start a new run" in message


def test_an_instruction_is_refused_for_an_encoder_that_reads_none(tmp_path, refusal):
    message = refusal(
        "embed", tmp_path / "run", "--model", "tinytown", "--instruction", "Be fair", code=2
    )
    assert "needed a decoder-only text encoder alone" in message
    assert not (tmp_path / "run" / "config.toml").exists()
