import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.errors import ArtifactError, BusyError, DataError, StageError
from probe.images.attributes import AttributeClassifier
from probe.images.plan import read_metadata
from probe.io.artifacts import atomic, exclusive, read_json, read_table, read_tensors
from probe.latent.directions import PairDirection
from probe.moesd.config import TrainConfig
from probe.moesd.model import MoESD
from probe.run import Experiment
from probe.run.config import Config
from probe.run.evaluation import evaluators
from probe.run.images import EXAMPLES
from probe.run.stages.embed import EmbedConfig
from probe.run.stages.evaluate import EvaluateConfig
from probe.run.stages.fit import FitConfig
from probe.run.stages.generate import GenerateConfig
from probe.text.embeddings import EmbeddingStore
from probe.text.lexicon import SPLITS, Lexicon

ORDER = ["embed", "fit", "train", "generate", "evaluate", "visualize", "report"]


@pytest.fixture
def walk(drawing):
    """Does all stages of a folder."""

    def walk(folder, **options):
        return Experiment.open(folder).run(*drawing, **options)

    return walk


# Settings


tables = st.builds(
    dict,
    embed=st.builds(EmbedConfig, lexicon=st.text(), prompts=st.text()),
    fit=st.builds(FitConfig, strength=st.floats(0, 1e6), n_bootstrap=st.integers(1, 10**6)),
    train=st.builds(
        TrainConfig,
        objective=st.sampled_from(["latent", "diffusion", "both"]),
        learning_rate=st.floats(1e-9, 1.0),
    ),
    generate=st.builds(GenerateConfig, n_images=st.integers(1, 10**4), seed=st.integers(0, 99)),
    evaluate=st.builds(EvaluateConfig, classifier=st.text(), female=st.text()),
)
configs = st.builds(Config, st.text(min_size=1), tables)


@settings(max_examples=50)
@given(config=configs)
def test_settings_survive_the_way_through_the_file(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    config.write(folder)
    assert Config.read(folder) == config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("strength = 500.0", "strenght = 500.0", r"\[fit\] fit has no setting 'strenght'"),
        ("strength = 500.0", "strength = -1.0", "strength is -1.0; needed at least 0"),
        ("strength = 500.0", "strength = nan", "strength is nan; needed a finite number"),
        ("n_images = 8", 'n_images = "8"', "n_images is '8'; needed a value of type int"),
        ("n_images = 8", "n_images = true", "n_images is True; needed a value of type int"),
        ("schema = 2", "schema = 1", "reads schema 2; make the run again .* `moesd-probe run"),
        ("[fit]", "[fitt]", r"no use for 'fitt'; known are .* embed, fit, train"),
        ("schema = 2", "schema = = 2", "is not TOML"),
        ('objective = "both"', 'objective = "all"', "needed one of latent, diffusion, both"),
    ],
)
def test_a_wrong_setting_is_named(run, old, new, message):
    path = run / "config.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ArtifactError, match=message):
        Experiment.open(run)


def test_a_new_run_takes_guidance_and_steps_from_the_model_and_one_seed(tmp_path, model_folder):
    config = Experiment.create(tmp_path / "run", model=str(model_folder), seed=11).config
    assert (config.generate.guidance_scale, config.generate.n_steps) == (2.0, 1)
    stages = [config.fit, config.train, config.generate, config.evaluate]
    assert {stage.seed for stage in stages} == {11}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="it is no run; start one with `moesd-probe embed"):
        Experiment.open(tmp_path)
    (tmp_path / "config.toml").write_text("schema = 2\n")
    with pytest.raises(ArtifactError, match="names no model"):
        Experiment.open(tmp_path)


def test_settings_of_no_stage_and_no_study_are_refused(finished_run):
    with pytest.raises(ValueError, match="there are no settings of 'report'; known are embed"):
        Experiment.open(finished_run).set("report", size=3)
    with pytest.raises(ValueError, match="no study has a setting 'n_boots'"):
        Experiment.open(finished_run).study(n_boots=3)


# The road


def test_nothing_is_done_twice_and_notes_in_the_settings_stay(run, walk, model_folder):
    path = run / "config.toml"
    path.write_text("# mine\n" + path.read_text())
    Experiment.create(run, model=str(model_folder), seed=3)
    assert path.read_text().startswith("# mine")
    stamps = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}
    reported = []
    outcomes = walk(run, on_outcome=reported.append)
    assert (
        [outcome.stage for outcome in outcomes] == ORDER == [outcome.stage for outcome in reported]
    )
    assert not any(outcome.was_made for outcome in outcomes)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if path.is_file())


@pytest.mark.slow
def test_a_changed_setting_makes_its_stage_and_what_builds_on_it_anew_and_back_again(
    run, finished_run, walk, contents
):
    for n_images in (9, 8):
        Experiment.open(run).set("generate", n_images=n_images)
        made = [outcome.stage for outcome in walk(run) if outcome.was_made]
        assert made == ORDER[ORDER.index("generate") :]
    assert contents(run) == contents(finished_run)


@pytest.mark.parametrize("stage", ["fit", "train", "generate", "evaluate", "inspect"])
def test_a_stage_before_its_predecessor_names_the_command(tmp_path, model_folder, stage):
    experiment = Experiment.create(tmp_path / "run", model=str(model_folder))
    message = f"{stage} requires embed, but .* run `moesd-probe embed .*` first"
    with pytest.raises(StageError, match=message):
        getattr(experiment, stage)(*["a prompt"] * (stage == "inspect"))


@pytest.mark.parametrize(
    ("name", "stage"),
    [("images/moesd/nurse/neutral-00003.png", "generate"), ("figures/sketch.txt", "visualize")],
)
def test_a_lost_file_is_made_again_with_the_same_bytes(
    run, finished_run, walk, name, stage, contents
):
    (run / name).unlink()
    outcomes = {outcome.stage: outcome for outcome in walk(run)}
    assert outcomes[stage].why == f"{name} is missing"
    assert contents(run) == contents(finished_run)


class StoppedError(BaseException):
    """Like a kill: no ordinary handler catches it."""


DEATHS = (  # file, at which of its writes, whether before or after it takes its place
    ("embeddings/states.safetensors", "before"),
    ("latent/map.parquet", "after"),
    ("moesd/candidates/cook/male-00004.png", "after"),
    ("moesd/examples/metadata.jsonl", "after"),
    ("moesd/gate.parquet", "after"),
    ("images/base/nurse/neutral-00002.png", "before"),
    ("evaluation/shares.parquet", "after"),
    ("evaluation/quality.json", "before"),
    ("figures/provenance.json", "before"),
    ("report.html", "before"),
)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_any_write_and_started_again_a_run_ends_with_the_same_files(
    tmp_path, model_folder, small_lexicon, finished_run, monkeypatch, walk, contents
):
    folder = tmp_path / "run"
    Experiment.create(folder, model=str(model_folder), seed=3, lexicon=small_lexicon)
    Config.read(finished_run).write(folder)
    replace_file, to_come = os.replace, list(DEATHS)

    def killed(source, target):
        name = Path(target).relative_to(folder).as_posix()
        if (name, "before") in to_come:
            to_come.remove((name, "before"))
            raise StoppedError
        replace_file(source, target)
        if (name, "after") in to_come:
            to_come.remove((name, "after"))
            raise StoppedError

    monkeypatch.setattr(os, "replace", killed)
    for _ in DEATHS:
        with pytest.raises(StoppedError):
            walk(folder)
    assert not to_come
    walk(folder)
    assert contents(folder) == contents(finished_run)


def test_a_run_hashes_each_file_once_and_scans_its_folders_twice(run, drawing, monkeypatch):
    hashed, scanned = Counter(), Counter()
    digest, scan = hashlib.file_digest, os.scandir

    def digest_and_count(file, kind):
        hashed[file.name] += 1
        return digest(file, kind)

    def scan_and_count(folder):
        scanned[str(folder)] += 1
        return scan(folder)

    monkeypatch.setattr(hashlib, "file_digest", digest_and_count)
    monkeypatch.setattr(os, "scandir", scan_and_count)
    Experiment.open(run).run(*drawing)
    assert {n for name, n in hashed.items() if Path(name).is_relative_to(run)} == {1}
    assert str(run / "embeddings/states.safetensors") in hashed
    assert scanned[str(run / "images/base")] == 2  # to open it, and with its lock
    assert {n for name, n in scanned.items() if Path(name).is_relative_to(run)} == {2}


def test_a_command_leaves_the_temporary_files_of_live_processes(run):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with atomic(run / "images/base/nurse/new.png") as temporary:
            temporary.write_bytes(b"whole")
            name = temporary.name.replace(f"-{os.getpid()}-", f"-{process.pid}-")
        live = run / "images/base/nurse" / name
        live.write_bytes(b"half")
        Experiment.open(run).fit()
        assert live.exists()
        process.communicate(b"\n")


def test_a_second_command_on_the_same_run_is_told_at_once(run):
    with exclusive(run), pytest.raises(BusyError, match="in use by another process"):
        Experiment.open(run).fit(strength=3.0)
    assert Config.read(run).fit.strength == 500.0


def test_a_run_of_other_weights_is_refused(run, model_folder, tmp_path):
    other = shutil.copytree(model_folder, tmp_path / "other")
    config = json.loads((other / "text_encoder/config.json").read_text())
    (other / "text_encoder/config.json").write_text(json.dumps({**config, "touched": True}))
    replace(Config.read(run), model=str(other)).write(run)
    with pytest.raises(ArtifactError, match=r"was made by model .* start a new run"):
        Experiment.open(run)


@pytest.mark.parametrize("split", SPLITS)
def test_a_lexicon_that_leaves_nothing_to_train_to_choose_or_to_prove_by_is_refused(
    tmp_path, model_folder, small_lexicon, split
):
    path, other = tmp_path / "lexicon.toml", "train" if split != "train" else "validation"
    text = re.sub(r"(?s)test_pool = \[.*?\]", "", small_lexicon.read_text())
    path.write_text(text.replace(f'split = "{split}"', f'split = "{other}"'))
    with pytest.raises(DataError, match=f'has split = "{split}"; needed some of each'):
        Experiment.create(tmp_path / "run", model=str(model_folder), lexicon=path)
    assert not (tmp_path / "run").exists()


# What stands in the files


def test_the_direction_is_fitted_on_the_training_occupations_alone(finished_run):
    experiment = Experiment.open(finished_run)
    store = EmbeddingStore.open(finished_run / "embeddings")
    training = store.prompt_set.take(store.prompt_set.is_training)
    training = training.select(group=["male", "female"])
    male, female = training.pairs()
    z = store.vectors(training.prompts)
    expected = PairDirection().fit(z[male], z[female]).direction_
    arrays, _ = read_tensors(finished_run / "latent/direction.safetensors", kind="direction")
    np.testing.assert_array_equal(arrays["vector"], expected)
    assert experiment.fit().result.data["n_pairs"] == len(male)


def test_training_images_are_balanced_show_what_was_asked_and_no_other_occupation(
    finished_run, model_folder
):
    table = read_metadata(finished_run / EXAMPLES)
    lexicon = Lexicon.load(finished_run / "lexicon.toml")
    counts = table.groupby(["subject", "value"]).size().unstack()
    assert set(table["subject"]) <= set(lexicon.occupations_of("train"))
    assert (counts["woman"] == counts["man"]).all()
    assert set(table["prompt"]) == {f"a portrait of a {subject}" for subject in counts.index}
    files = [finished_run / EXAMPLES / name for name in table["file_name"]]
    seen = AttributeClassifier.load(model_folder / "classifier").label(files)
    assert seen["gender"].tolist() == table["value"].tolist()
    assert seen["subject"].tolist() == table["subject"].tolist()


def test_pictures_change_where_the_gate_opens_and_nowhere_else(finished_run):
    images = finished_run / "images"
    base, corrected = (
        read_metadata(images / side).set_index("file_name") for side in ("base", "moesd")
    )
    routes = MoESD.load(finished_run / "moesd").classify(sorted(set(base["prompt"])))
    is_open = routes.set_index("prompt")["route_trained"].str.endswith("skewed")
    changed = base["key"] != corrected["key"].loc[base.index]
    assert changed.equals(base["prompt"].map(is_open).rename("key"))
    assert changed.any()
    assert not changed.all()


def test_the_figures_follow_from_the_labels(finished_run):
    labels, _ = read_table(finished_run / "evaluation/labels.parquet", kind="labels")
    n_images = 6 * 8 + 6 * 2 * 2 + 2 * 2
    assert labels["side"].value_counts().to_dict() == {"base": n_images, "moesd": n_images}
    neutral = labels[(labels["kind"] == "neutral") & (labels["side"] == "base")]
    share = (neutral["gender"] == "woman").groupby(neutral["subject"]).mean()
    found, _ = read_json(finished_run / "evaluation/quality.json", kind="quality")
    assert found["n_images"] == {"base": 48, "corrected": 48, "per_subject": 8}
    assert found["base"]["mad"]["value"] == pytest.approx((share - 0.5).abs().mean())
    recognised = (neutral["subject_seen"] == neutral["subject"]).mean()
    assert found["base"]["subject_recognised"]["value"] == pytest.approx(recognised)
    shares, _ = read_table(finished_run / "evaluation/shares.parquet", kind="shares")
    women = shares[(shares["side"] == "base") & (shares["value"] == "woman")]
    pd.testing.assert_series_equal(
        women.set_index("subject")["share"].sort_index(), share, check_names=False
    )


@pytest.mark.slow
def test_pieces_of_an_evaluation_are_kept_until_it_is_whole(run, finished_run, monkeypatch):
    monkeypatch.setattr(evaluators, "_PIECE", 30)
    label, looked_at = AttributeClassifier.label, []

    def watched(self, images, **options):
        if len(looked_at) == 2:
            raise StoppedError
        looked_at.append(len(images))
        return label(self, images, **options)

    shutil.rmtree(run / "evaluation")
    monkeypatch.setattr(AttributeClassifier, "label", watched)
    with pytest.raises(StoppedError):
        Experiment.open(run).evaluate()
    assert len(list((run / "evaluation/pieces").iterdir())) == 2
    monkeypatch.setattr(AttributeClassifier, "label", label)
    Experiment.open(run).evaluate()
    ours, theirs = (
        read_table(folder / "evaluation/labels.parquet", kind="labels")[0]
        for folder in (run, finished_run)
    )
    # Batches of another size round otherwise in the last digit.
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4)
    assert not (run / "evaluation/pieces").exists()


@pytest.mark.slow
def test_where_the_classifier_knows_no_subjects_clip_recognises_them(
    run, model_folder, tmp_path, small_lexicon
):
    folder = shutil.copytree(model_folder / "classifier", tmp_path / "classifier")
    config = json.loads((folder / "config.json").read_text())
    for index, label in config["id2label"].items():
        config["id2label"][index] = label.replace("subject:", "mood:")
    config["label2id"] = {label: int(index) for index, label in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config))
    Experiment.open(run).set("train", objective="latent").set("evaluate", classifier=str(folder))
    for stage in ("train", "generate", "evaluate"):
        getattr(Experiment.open(run), stage)()
    labels, _ = read_table(run / "evaluation/labels.parquet", kind="labels")
    lexicon = Lexicon.load(small_lexicon)
    assert set(labels["subject_seen"]) <= set(lexicon.split_of)
    neutral = labels[(labels["kind"] == "neutral") & (labels["side"] == "base")]
    found, _ = read_json(run / "evaluation/quality.json", kind="quality")
    assert found["base"]["subject_recognised"]["value"] == pytest.approx(
        (neutral["subject_seen"] == neutral["subject"]).mean()
    )


def test_inspection_shows_which_expert_moves_a_prompt_and_that_an_explicit_one_stays(finished_run):
    experiment = Experiment.open(finished_run)
    explicit = "a photo of a woman working as a nurse"
    found = experiment.inspect(explicit).data
    assert (found["route"], found["expert"]) == ("explicit", "base")
    assert found["shift"] == pytest.approx(0.0, abs=1e-6)
    near = [of["prompt"] for of in found["nearest_before"]]
    assert near == [of["prompt"] for of in found["nearest_after"]]
    assert explicit not in near
    assert sum(found["probabilities"].values()) == pytest.approx(1.0)
    table, _ = read_table(finished_run / "moesd/gate.parquet", kind="gate")
    row = table[table["route_trained"].str.endswith("skewed")].iloc[0]
    found = experiment.inspect(row["prompt"]).data
    assert found["route"] == row["route_trained"]
    assert found["expert"].startswith("toward-")
    assert found["shift"] > 0
    for name in ("bias_score", "bias_score_corrected"):
        assert found[name] == pytest.approx(row[name], abs=1e-5)


def test_info_lists_every_file_and_stage_and_no_file_carries_a_place(finished_run, contents):
    found = Experiment.open(finished_run).info()
    assert found.stages == dict.fromkeys(ORDER[:5])
    names = {entry["path"] for entry in found.files}
    assert names >= {"embeddings/states.safetensors", "latent/fit.json", "evaluation/quality.json"}
    assert {entry["revision"] for entry in found.files} == {found.revision}
    for name, content in contents(finished_run).items():
        assert ".tmp-" not in name
        assert "candidates" not in name
        if name != "config.toml" and name.endswith((".json", ".jsonl", ".csv", ".html")):
            assert str(finished_run).encode() not in content


def test_info_says_what_waits_for_what_and_a_stage_after_an_outdated_one_names_it(run):
    experiment = Experiment.open(run).set("train", latent_steps=4)
    found = experiment.info()
    assert found.stages["fit"] is None
    assert "other settings or inputs" in found.stages["train"]
    assert found.stages["generate"] == found.stages["evaluate"] == "waits for train"
    with pytest.raises(StageError, match=r"generate requires train, but moesd/.* other settings"):
        experiment.generate()
