"""A study and a figure are one registration each: found everywhere, with nothing else changed."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.main import main
from figures import registry as figures
from figures.sources import SOURCES
from probe.audit.sources import READERS, read_source
from probe.baselines import BASELINES
from probe.images.attributes import ARCHITECTURES, load_classifier
from probe.images.pipelines import FAMILIES, load_pipeline
from probe.io.plugins import Registry
from probe.run import Experiment
from probe.run.compare.methods import all_methods
from probe.run.registry import STUDIES, pipeline, studies

ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "tests" / "plugin_example"


@pytest.fixture
def throwaway(monkeypatch):
    """A module with a study and a figure, imported and forgotten again."""
    assert "lengths" not in STUDIES
    monkeypatch.syspath_prepend(PLUGIN)
    try:
        yield importlib.import_module("moesd_probe_lengths")
    finally:
        sys.modules.pop("moesd_probe_lengths", None)
        for registered in (STUDIES._items, figures._FIGURES, SOURCES):
            registered.pop("lengths", None)
        for command in main.commands.values():
            vars(command).pop("_derived", None)


def option_of(name, command="study"):
    """The option of a command, derived anew: commands derive their options once."""
    vars(main.commands[command]).pop("_derived", None)
    options = main.commands[command].get_params(
        click.Context(main.commands[command], help_option_names=["-h", "--help"])
    )
    return next((each for each in options if each.name == name), None)


def test_a_registered_study_is_a_choice_with_help_options_and_bounds(
    throwaway, tmp_path, call, refusal
):
    assert option_of("norm_order") is not None
    shown = call("study", "--help").output
    assert "lengths" in shown
    assert "--norm-order INTEGER" in shown
    assert "[new run: 2]  [x>=1]" in shown
    refused = refusal("study", tmp_path, "--norm-order", 0, code=2)
    assert "0 is not in the range x>=1" in refused


@pytest.mark.slow
def test_a_registered_study_and_figure_are_done_kept_drawn_and_reported(throwaway, run, call, done):
    option_of("norm_order")
    told = done("study", run, "lengths", "--norm-order", 3, "--json")
    assert json.loads(told)["lengths"]["n"] > 0
    assert "[lengths]\n# Order of the norm.\nnorm_order = 3\n" in (run / "config.toml").read_text()
    assert Experiment.open(run).info().stages["lengths"] is None
    assert "visualize" not in call("visualize", run, "--figure", "lengths").stderr
    assert (run / "figures/lengths.png").is_file()
    done("visualize", run)
    done("report", run)
    assert "Distance between the male and the female prompt" in (run / "report.html").read_text()
    assert Experiment.open(run).set("lengths", norm_order=1).info().stages["lengths"] is not None


@pytest.mark.slow
def test_an_installed_plugin_is_found_by_the_command_line(tmp_path):
    source = shutil.copytree(PLUGIN, tmp_path / "source")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    install = [sys.executable, "-m", "pip", "install", *options, "--target", tmp_path / "site"]
    subprocess.run([*install, source], check=True, capture_output=True)
    code = "from cli.main import main; main(['study', '--help'])"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "lengths" in shown
    assert "--norm-order" in shown


def test_plugins_add_baselines_readers_classifiers_and_image_models(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "coin"}')
    (tmp_path / "model_index.json").write_text('{"_class_name": "Crayon"}')
    for registry, name in (
        (BASELINES, "do-nothing"),
        (READERS, ".rds"),
        (ARCHITECTURES, "coin"),
        (FAMILIES, "Crayon"),
    ):
        assert name not in registry
        monkeypatch.setitem(registry._items, name, lambda *given, **options: (given, options))
    assert "do-nothing" in all_methods()
    assert read_source(labels=tmp_path / "a.rds")[0] == (tmp_path / "a.rds",)
    assert load_classifier(tmp_path, device="cpu") == ((tmp_path,), {"device": "cpu"})
    assert load_pipeline(tmp_path) == ((tmp_path,), {"device": "cpu"})


def test_no_two_things_share_a_name():
    registry = Registry("thing")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="two thing entries are named 'one'"):
        registry.add("one", 2)


def test_a_stage_comes_after_all_that_it_requires():
    names = [stage.name for stage in pipeline()]
    assert names == [
        *("embed", "fit", "train", "generate", "evaluate"),
        *("visualize", "report"),
    ]
    assert [stage.name for stage in pipeline(["train"])] == names[:3]
    depths = [len(pipeline(study.requires)) for study in studies()]
    assert depths == sorted(depths)
