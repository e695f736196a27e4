"""Methods are compared on one bench: nothing is made twice, and figures are those of evaluate."""

import json
import shutil
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

import figures.methods  # noqa: F401 - registers its sources
from figures.report.optional import methods
from figures.sources import RunFiles
from probe.baselines import BASELINES
from probe.baselines.weights import lora
from probe.errors import OptionError, StageError
from probe.images.intervention import Intervention
from probe.images.plan import read_metadata
from probe.io.artifacts import (
    read_json,
    read_provenance,
    read_table,
    read_tensors,
    write_tensors,
)
from probe.moesd.config import RECIPES
from probe.run import Experiment
from probe.run.compare import rows as making
from probe.run.compare.material import Bench, reference_plan
from probe.run.compare.methods import all_methods
from probe.run.folder import Run

pytestmark = pytest.mark.slow

SOME = ("moesd", "explicit-mixing", "leace-lookup")
MEASURED = (
    *("mad", "mad_train", "mad_test", "explicit_adherence", "subject_recognised"),
    *("non_person_changed", "clip_score", "kid", "seconds_per_image"),
)


@pytest.fixture(scope="module")
def compared(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on which some methods have been compared."""
    folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("compared") / "run"))
    Experiment.open(folder).compare(*SOME)
    return folder


@pytest.fixture
def run(compared: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(compared, tmp_path / "run"))


def figures_of(folder):
    return read_json(folder / "comparison/methods.json", kind="comparison")[0]


def by_name(folder):
    return {of["name"]: of for of in figures_of(folder)["methods"]}


def pictures(folder):
    found = sorted((folder / "comparison").rglob("*.png"))
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in found}


def test_every_measured_figure_has_an_interval(compared):
    assert set(BASELINES) < set(all_methods())
    methods = by_name(compared)
    assert list(methods) == ["base", *SOME]
    for of in methods.values():
        for key in MEASURED:
            found = of[key]
            assert found["low"] <= found["value"] <= found["high"], (of["name"], key)
        assert of["n_trainable"] >= 0
    assert set(figures_of(compared)["noise_floor"]) >= {"mad"}
    bench = Bench(Run(compared, Experiment.open(compared).config), n_images=8)
    lengths = np.linalg.norm(features := making.read_row(bench, "base").features, axis=1)
    np.testing.assert_allclose(lengths, np.sqrt(features.shape[1]), rtol=1e-5)  # as `kid` needs


def test_base_and_moesd_score_what_evaluate_says_of_them(compared):
    quality = read_json(compared / "evaluation/quality.json", kind="quality")[0]
    for name, side in (("base", "base"), ("moesd", "corrected")):
        ours, run = (
            read_metadata(compared / folder / name).set_index("file_name")["key"]
            for folder in ("comparison", "images")
        )
        assert ours.equals(run)  # copied, and not generated again
        found, known = by_name(compared)[name], quality[side]
        for split, key in (("train", "mad_train"), ("test", "mad_test")):
            assert found[key]["value"] == known[split]["mad"]["value"]
            assert found[key]["floor"] == known[split]["mad"]["floor"]
        assert found["mad"]["value"] == known["mad"]["value"]
        for key in ("explicit_adherence", "subject_recognised"):
            assert found[key] == known[key]
        assert found["clip_score"]["value"] == pytest.approx(known["clip_score"]["value"])
    changed = quality["failures"]["non_person_changed"]
    assert by_name(compared)["moesd"]["non_person_changed"] == changed
    assert by_name(compared)["moesd"]["difference"]["p"] == quality["difference"]["mad"]["p"]


def test_a_lookup_leaves_explicit_prompts_and_things_alone(compared):
    methods = by_name(compared)
    assert methods["base"]["difference"]["value"] == 0
    for name in ("explicit-mixing", "leace-lookup"):
        of = methods[name]
        assert of["non_person_changed"]["value"] == 0
        assert of["explicit_adherence"] == methods["base"]["explicit_adherence"]
        assert of["kept"]["explicit_adherence"]["value"] == 0
        assert not of["keeps_explicit"]  # 6 occupations are too few to show it


def test_the_oracles_neutral_pictures_are_judged_by_the_prompt_that_was_asked_for(compared):
    """They are the base model's explicit pictures, bit for bit, but were asked for otherwise."""
    base, oracle = (
        read_table(compared / f"comparison/{name}/labels.parquet", kind="labels")[0]
        for name in ("base", "explicit-mixing")
    )
    said = base[base["kind"].isin(["female", "male"])].drop_duplicates("key").set_index("key")
    shared = oracle[(oracle["kind"] == "neutral") & oracle["key"].isin(said.index)]
    assert len(shared)
    other = said.loc[shared["key"]]
    assert (shared["gender"].to_numpy() == other["gender"].to_numpy()).all()
    assert (shared["clip_score"].to_numpy() != other["clip_score"].to_numpy()).all()


def test_recognition_in_trials_is_seen_by_clip_if_the_classifier_knows_no_subjects(
    compared, tmp_path, monkeypatch
):
    """It was 1 without a look, so that no setting was ever refused."""
    run = Run(compared, Experiment.open(compared).config)
    bench, n = Bench(run, n_images=2), 6
    job = bench._validation[0]

    class GenderOnly:
        attributes = MappingProxyType({"gender": ["woman", "man"]})

        def label(self, files):
            return pd.DataFrame({"gender": ["woman"] * len(files)})

    monkeypatch.setitem(vars(bench), "selector", GenderOnly())
    monkeypatch.setattr(
        "probe.run.evaluation.evaluators.subjects_by_clip",
        lambda _run, files, _clip: [job] + ["something else"] * (len(files) - 1),
    )
    trial = bench._try_out(tmp_path / "trial", Intervention(), [job])
    assert trial.recognised == pytest.approx(1 / n)
    tested = bench.run.lexicon.occupations_of("test")
    with pytest.raises(ValueError, match=f"{tested[0]!r} is a test occupation"):
        bench._try_out(tmp_path / "trial", Intervention(), tested)


def test_what_is_up_to_date_is_not_made_again_and_another_method_costs_its_own_images(run):
    before = pictures(run)
    assert not Experiment.open(run).compare(*SOME).was_made
    assert pictures(run) == before
    outcome = Experiment.open(run).set("evaluate", n_bootstrap=60).compare("debias-vl")
    assert outcome.was_made
    after = pictures(run)
    assert all(after[path] == time for path, time in before.items())
    assert {path.parts[1] for path in set(after) - set(before)} == {"debias-vl"}
    assert [of["name"] for of in outcome.result.data["methods"]] == ["base", "debias-vl"]


def test_an_interrupted_comparison_goes_on_to_the_same_bytes(compared, finished_run, tmp_path):
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Experiment.open(folder).compare("explicit-mixing", on_line=stop)
    made = pictures(folder)
    assert made
    Experiment.open(folder).compare("explicit-mixing")
    assert all(pictures(folder)[path] == time for path, time in made.items())
    for name in ("base", "reference", "explicit-mixing"):
        for file in (making.LABELS, making.FEATURES):
            path = f"comparison/{name}/{file}"
            assert (folder / path).read_bytes() == (compared / path).read_bytes()


def test_other_noise_makes_every_picture_anew(compared, run):
    outcome = Experiment.open(run).set("generate", seed=99).compare("explicit-mixing")
    assert "other settings" in outcome.why
    for name in ("base", "reference", "explicit-mixing"):
        before, after = (
            set(read_metadata(folder / "comparison" / name)["key"]) for folder in (compared, run)
        )
        assert not before & after


def test_the_reference_is_balanced_and_it_and_trials_have_noise_that_no_test_sees(compared):
    bench = Bench(Run(compared, Experiment.open(compared).config), n_images=200)
    plan = reference_plan(bench.plan, seed=3)
    people = plan.table[plan.table["kind"] != "object"]
    assert not set(plan.table["seed"]) & set(bench.plan.table["seed"])
    by_subject = people.groupby("subject")["kind"].value_counts().unstack()
    assert (by_subject[["female", "male"]] == 100).all(axis=None)
    assert plan.table["seed"].is_unique
    trial = bench._trial_plan(bench._validation).table
    assert set(trial["kind"]) == {"neutral"}
    assert set(trial["subject"]) <= set(bench.run.lexicon.occupations_of("validation"))
    assert not set(trial["seed"]) & set(bench.plan.table["seed"])
    assert not list((compared / "comparison").rglob("trial"))  # removed when a method is made


def test_a_comparison_by_other_settings_is_old_in_info_and_on_the_page(run):
    assert Experiment.open(run).info().stages["compare methods"] is None
    shutil.rmtree(run / "comparison/base")  # the figures are of today, though images are gone
    assert methods(RunFiles(run))["is_current"]
    token = run / "moesd/token.safetensors"
    tensors, made = read_tensors(token, kind=read_provenance(token).kind)
    write_tensors(token, {name: tensor + 1 for name, tensor in tensors.items()}, made)
    assert methods(RunFiles(run))["is_current"] is False
    assert Experiment.open(run).info().stages["compare methods"] is not None


def test_what_cannot_be_compared_is_refused(run):
    experiment = Experiment.open(run)
    with pytest.raises(ValueError, match="no method is called 'nosuch'; choose from base, moesd"):
        experiment.compare("nosuch")
    with pytest.raises(ValueError, match="n_images is 1; needed at least 2"):
        experiment.compare(n_images=1)
    with pytest.raises(StageError, match="compare methods requires train"):
        experiment.set("train", width=5).compare("moesd")


def test_the_command_prints_the_table_or_json(run, done):
    arguments = ("compare", "methods", run, "--only", "moesd")
    assert "MAD of a fair model" in done(*arguments)
    found = json.loads(done(*arguments, "--json"))
    assert [of["name"] for of in found["methods"]] == ["base", "moesd"]
    assert "explicit-mixing" not in (run / "figures/methods.csv").read_text()


def test_a_variant_with_the_runs_own_settings_is_the_runs_own_correction(run, monkeypatch):
    config = Experiment.open(run).config.train
    own = {"objective": config.objective, "diffusion_steps": config.diffusion_steps}
    monkeypatch.setitem(RECIPES, "recommended", own)
    Experiment.open(run).compare("moesd", "moesd-recommended")
    own, trained = (
        read_metadata(run / "comparison" / name)["key"] for name in ("moesd", "moesd-recommended")
    )
    assert own.equals(trained)
    of = by_name(run)
    assert of["moesd"]["train_seconds"] is None  # it was trained before
    assert of["base"]["train_seconds"] == 0
    assert of["moesd-recommended"]["train_seconds"] > 0
    assert of["moesd"]["n_trainable"] == of["moesd-recommended"]["n_trainable"] > 0


def test_every_method_runs(finished_run, tmp_path, monkeypatch):
    monkeypatch.setitem(BASELINES._items, "lora", partial(lora, n_steps=2, batch_size=8))
    monkeypatch.setattr(making, "N_REPEATS", 1)
    monkeypatch.setattr("probe.run.compare.material.N_TRIAL", 2)
    folder = Path(shutil.copytree(finished_run, tmp_path / "run"))
    outcome = Experiment.open(folder).compare(n_images=2)
    # Those through one of several text encoders are made only if named.
    unnamed = [name for name, of in all_methods().items() if not of.through]
    assert [of["name"] for of in outcome.result.data["methods"]] == unnamed


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_corrections_of_several_attributes_are_compared_with_what_corrects_any(
    tmp_path, small_lexicon, done
):
    experiment = Experiment.create(tmp_path, model="tinytown", lexicon=small_lexicon)
    brief = {"latent_steps": 2, "n_examples": 64, "shown_images": 0, "measured_images": 0}
    experiment.set("train", attributes="gender,skin_tone", **brief)
    experiment.set("generate", n_images=2, n_steps=2, base_images=2).set("evaluate", n_bootstrap=50)
    for stage in (experiment.embed, experiment.fit, experiment.train):
        stage()
    with pytest.raises(OptionError, match=r"debias-vl corrects gender .* gender,skin_tone"):
        experiment.compare("debias-vl")
    found = json.loads(done("compare", "methods", tmp_path, "--json"))
    names = ["base", "moesd", "explicit-mixing", "fair-diffusion", "prompt-intervention"]
    names += ["leace", "leace-lookup", "fair-pca", "steering", "steering-lookup", "uce", "lora"]
    assert sorted(of["name"] for of in found["methods"]) == sorted(names)
    assert (found["attribute"], found["also_corrected"]) == ("gender", ["skin"])
    for of in found["methods"]:
        assert of["mad_skin"]["n"] == of["mad"]["n"]
    assert "MAD of skin" in done("compare", "methods", tmp_path).splitlines()[1]
    of = {name: set(read_metadata(tmp_path / "comparison" / name)["key"]) for name in names}
    assert all(of["base"] != of[name] for name in names[1:])
