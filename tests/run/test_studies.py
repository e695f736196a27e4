"""Studies are stages on request: done once, from the run's files, and drawn."""

import json
import shutil
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from figures.drawing import build
from figures.sources import RunFiles
from probe import Experiment
from probe.errors import DataError, OptionError, StageError
from probe.images.plan import read_metadata
from probe.io.artifacts import read_table, write_table
from probe.latent.maps import neighbor_map
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.registry import STUDIES, studies
from probe.run.routing import router_of
from probe.run.stages.fit import ESTIMATORS
from probe.run.stages.generate import GenerateConfig
from probe.run.studies.mixture import _guidance_lines, fit_guidance
from probe.stats.share_shift import ShareShift
from probe.text.embeddings import EmbeddingStore
from probe.text.lexicon import SPLITS

QUICK = {"n_bootstrap": 50, "n_level_images": 2}


@pytest.fixture(scope="module")
def studied(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with every study done on it."""
    folder = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("studied") / "run"))
    Experiment.open(folder).study(**QUICK)
    return folder


@pytest.fixture
def many(run: Path) -> Path:
    """The run with pictures of twelve occupations, four for testing, that follow the bias score."""
    names = [f"job {i}" for i in range(12)]
    bias_scores = np.linspace(-0.2, 0.2, 12)
    subjects, made = read_table(run / "latent/subjects.parquet", kind="subjects")
    grown = pd.DataFrame({"subject": names, "bias_score": bias_scores, "group": "neutral"})
    grown = grown.assign(split=["train", "train", "test"] * 4, share_women=0.5)
    write_table(run / "latent/subjects.parquet", grown[subjects.columns.tolist()], made)
    shares, made = read_table(run / "evaluation/shares.parquet", kind="shares")
    rows = grown[["subject", "split"]].assign(
        **{"side": "base", "attribute": "gender", "value": "woman", "n": 40, "count": 0},
        share=np.round(40 / (1 + np.exp(8 * bias_scores))) / 40,
        low=0.0,
        high=1.0,
    )
    write_table(run / "evaluation/shares.parquet", rows[shares.columns.tolist()], made)
    return run


@pytest.fixture
def run(studied: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(studied, tmp_path / "run"))


def test_every_study_leaves_its_files_and_says_what_it_found(studied):
    outcomes = Experiment.open(studied).study()
    assert [outcome.stage for outcome in outcomes] == [study.name for study in studies()]
    assert not any(outcome.was_made for outcome in outcomes)
    skipped = {outcome.stage: outcome.why for outcome in outcomes if not outcome.result.summary()}
    assert skipped.keys() == {"encoders", "prediction", "intersections", "stated"}
    assert skipped["encoders"] == "its model has one text encoder"
    assert "needed 6 and 3" in skipped["prediction"]
    assert "knows no attribute of people beside gender" in skipped["intersections"]
    assert "knows no attribute that prompts can state" in skipped["stated"]
    for outcome in outcomes:
        if outcome.stage in skipped:
            continue
        assert outcome.to_json()["stage"]["name"] == outcome.stage
        assert (studied / STUDIES[outcome.stage].file).is_file()


def test_axes_are_compared_with_each_other_and_erasers_with_none(studied):
    table, _ = read_table(studied / "latent/directions.parquet", kind="directions")
    assert table["estimator"].tolist() == list(ESTIMATORS)
    cosines = table.set_index("estimator")[[f"cosine_{name}" for name in ESTIMATORS]].to_numpy()
    np.testing.assert_allclose(cosines, cosines.T)
    np.testing.assert_allclose(np.diag(cosines), 1.0)
    assert table["correlation"].between(table["correlation_low"], table["correlation_high"]).all()
    erased, _ = read_table(studied / "latent/erasure.parquet", kind="erasure")
    assert erased["eraser"].iloc[0] == "none"
    assert erased["cosine"].iloc[0] == pytest.approx(1.0)
    assert (erased["cosine"].iloc[1:] < 1.0).all()


def test_the_gate_is_told_of_by_category_and_by_set(studied):
    found = Experiment.open(studied).study("gate")[0].to_json()
    assert found["has_list"]
    rows = pd.DataFrame(found["categories"])
    told = rows[(rows["gate"] == "trained") & (rows["measure"] == "class")].set_index("category")
    for of in ("seen", "fresh", "blind"):
        hard = told.loc[[f"{of}: {name}" for name in ("paraphrases", "negations", "names")]]
        assert told.loc[f"{of}: hard", "n"] >= hard["n"].sum()
        assert told.loc[f"{of}: hard", "set"] == of
        for figure in ("calibration_error", "auc", "false_alarms"):
            row = found[figure][of]
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    levels = pd.DataFrame(found["levels"])
    said = levels[levels["level"].isin(["name", "pronoun"]) & (levels["measure"] == "opened")]
    assert set(said["set"]) == {"seen", "fresh"}
    assert said["value"].max() < 0.05  # the list says what random weights cannot


def test_a_prediction_is_learnt_from_trained_occupations_only(many):
    experiment = Experiment.open(many)
    found = experiment.study("prediction")[0].to_json()
    assert found["n_train"] == 8
    assert found["calibration"]["n"] == 4
    assert found["calibration"]["r2"] > 0.9  # planted: the pictures follow the bias score
    before, _ = read_table(many / "latent/prediction.parquet", kind="prediction")
    path = many / "evaluation/shares.parquet"
    shares, made = read_table(path, kind="shares")
    is_unseen = shares["split"] == "test"
    shares.loc[is_unseen, "share"] = 1.0 - shares.loc[is_unseen, "share"]
    write_table(path, shares, made)
    assert experiment.study("prediction")[0].was_made
    after, _ = read_table(many / "latent/prediction.parquet", kind="prediction")
    columns = ["subject", "predicted", "low", "high"]
    pd.testing.assert_frame_equal(before[columns], after[columns])
    assert not before["share"].equals(after["share"])
    figure, _ = build(RunFiles(many), "prediction")
    assert figure.axes


def test_what_requires_images_or_a_correction_says_so_and_all_other_studies_are_done(run):
    shutil.rmtree(run / "evaluation")
    experiment = Experiment.open(run)
    with_pictures = {study.name for study in studies() if study.requires == ("evaluate",)}
    skipped = {of.stage for of in experiment.study() if "requires evaluate, but" in of.why}
    assert (
        skipped == with_pictures == {"mixture", "prediction", "intersections", "levels", "stated"}
    )
    with pytest.raises(StageError, match="levels requires evaluate"):
        experiment.study("levels")
    shutil.rmtree(run / "moesd")
    skipped = {of.stage for of in experiment.study() if "requires" in of.why}
    assert skipped == {study.name for study in studies() if study.requires != ("fit",)}


def test_a_named_study_whose_requirement_is_unmet_is_refused_before_any_other_is_done(run):
    (run / "latent/directions.parquet").unlink()
    experiment = Experiment.open(run)
    with pytest.raises(DataError, match="needed 6 and 3"):
        experiment.study("directions", "prediction")
    with pytest.raises(ValueError, match="no study is called 'palmistry'; choose from association"):
        experiment.study("directions", "palmistry")
    assert not (run / "latent/directions.parquet").exists()


def test_shares_are_read_off_the_denoiser_and_held_against_the_pictures(studied):
    found = Experiment.open(studied).study("mixture")[0].to_json()
    table, _ = read_table(studied / "latent/mixture.parquet", kind="mixture")
    assert set(table["value"]) == {"female"}  # the share of men is the rest
    assert found["error"]["value"] == pytest.approx((table["read"] - table["share"]).abs().mean())
    assert found["error"]["n"] == len(table)
    for name in ("explained", "sensitivity"):
        assert found[name] == pytest.approx(table[name].median())
    expected = np.corrcoef(table["read"], table["share"])[0, 1]
    assert found["correlation"]["female"]["r"] == pytest.approx(expected)
    shares, _ = read_table(studied / "evaluation/shares.parquet", kind="shares")
    women = shares[(shares["side"] == "base") & (shares["value"] == "woman")]
    both = table.merge(women, on="subject", suffixes=("", "_seen"))
    for name in ("share", "low", "high", "n"):
        np.testing.assert_allclose(both[name], both[f"{name}_seen"])
    odds = table["read"] / (1 - table["read"])
    plain = table["read_plain"] / (1 - table["read_plain"])
    scale = Experiment.open(studied).config.generate.guidance_scale
    np.testing.assert_allclose(np.log(odds), scale * np.log(plain), rtol=1e-6)


@pytest.mark.parametrize("intercepts", [(0.5, 0.0), (0.5, -0.3, 0.0)])
def test_the_study_measures_a_planted_shift_of_guidance_and_never_on_test_occupations(intercepts):
    plain = np.random.default_rng(0).dirichlet(np.full(len(intercepts), 3.0), 12)
    counts = np.rint(10**6 * ShareShift(1.4, intercepts).apply(plain)).astype(np.intp)
    splits = ["train", "test", "validation"] * 4
    found = fit_guidance(plain, counts, splits)
    moved = np.where(np.array(splits)[:, None] == "test", 1, counts)
    assert fit_guidance(plain, moved, splits) == found | {"error": ANY}
    assert (found["n"], found["n_left"]) == (8, 4)
    assert found["slope"] == pytest.approx(1.4, abs=1e-3)
    assert found["intercepts"] == pytest.approx(intercepts[:-1], abs=1e-3)
    assert found["error"]["fitted"] < 1e-3 < 0.05 < found["error"]["unchanged"]
    assert fit_guidance(np.full_like(plain, 1 / len(intercepts)), counts, splits) == {}


def test_a_shift_that_is_too_flat_to_be_inverted_is_not_recommended():
    plain = np.random.default_rng(0).dirichlet(np.full(3, 3.0), 12)
    for slope, advice in ((0.1, "too flat for calibrated"), (1.4, "set generate.guidance_slope")):
        counts = np.rint(10**6 * ShareShift(slope, (0.5, -0.3, 0.0)).apply(plain)).astype(np.intp)
        found = fit_guidance(plain, counts, ["train", "test", "validation"] * 4)
        [line] = _guidance_lines(found, 3.0, ["young", "middle-aged", "old"])
        assert advice in line
        assert "adds 0.50 for young, -0.30 for middle-aged" in line


def test_the_measured_shift_of_guidance_is_that_of_the_router(studied):
    run = Run(studied, Config.read(studied))
    assert router_of(run).shift(3.0, n_values=2) == ShareShift(3.0)
    measured = {"guidance_slope": 1.2, "guidance_intercept": "0.4"}
    run = Run(studied, run.config.with_settings("generate", measured))
    assert router_of(run).shift(3.0, n_values=2) == ShareShift(1.2, (0.4, 0.0))
    with pytest.raises(OptionError, match="without a guidance_slope"):
        GenerateConfig(guidance_intercept="0.4")
    with pytest.raises(OptionError, match="needed numbers with commas"):
        GenerateConfig(guidance_slope=1.2, guidance_intercept="0.4;1")
    of_more = {"guidance_slope": 1.2, "guidance_intercept": "0.4,0.1"}
    with pytest.raises(OptionError, match="has 2 numbers; needed 1, as the study mixture"):
        router_of(Run(studied, run.config.with_settings("generate", of_more)))


def test_pictures_are_made_and_measured_at_every_level_of_specificity(studied):
    found = Experiment.open(studied).study("levels")[0].to_json()
    pictures, _ = read_table(studied / "evaluation/level_images.parquet", kind="level_images")
    n_jobs = pictures["subject"].nunique()
    assert len(pictures) == 6 * n_jobs * found["n_images"]
    for level in found["levels"]:
        assert level["all"]["changed"]["n"] == n_jobs * found["n_images"]
        assert ("adherent" in level["all"]) == (level["level"] != "none")
        parts = [level[split]["changed"]["n"] for split in SPLITS]
        assert sum(parts) == (pictures["level"] == level["level"]).sum()
    own = read_metadata(studied / "images/base").merge(pictures, on=["prompt", "seed"])
    assert len(own) >= n_jobs
    assert (own["key"] == own["key_base"]).all()  # a prompt of the run gives the run's picture
    is_closed = ~pictures["is_open"]
    assert (pictures["key_base"] == pictures["key_moesd"])[is_closed].all()


def test_a_setting_makes_stale_what_reads_it_and_no_other_study(run):
    experiment = Experiment.open(run).set("levels", level_words="fresh", n_level_images=2)
    stages = experiment.info().stages
    assert stages["levels"] is not None
    assert stages["directions"] is stages["gate"] is stages["mixture"] is None
    before = (run / "latent/direction.safetensors").read_bytes()
    experiment.fit(estimator="logistic")
    assert (run / "latent/direction.safetensors").read_bytes() != before
    assert experiment.info().stages["directions"] is not None


def test_the_gap_of_the_genders_is_over_occupations(studied):
    """Prompts of one occupation are near copies; the interval took each for an observation."""
    gap = json.loads((studied / "latent/fit.json").read_text("utf-8"))["gap"]
    prompts = Experiment.open(studied)._run.prompts.table
    assert (gap["unit"], gap["n"]) == (
        "occupations",
        prompts["subject"][prompts["pair"] >= 0].nunique(),
    )


def test_association_tests_permute_gendered_words_and_not_their_prompts(studied):
    """Few gendered words stand in all explicit prompts, which are near copies of one another."""
    table, _ = read_table(studied / "latent/association.parquet", kind="association")
    found = table.set_index("measure")
    lexicon = Experiment.open(studied)._run.lexicon
    n_words = len(lexicon.pairs) + len(lexicon.adjectives)
    assert found.loc["RIPA", "n"] == n_words
    assert found.loc["RIPA", "p"] >= 2 / 2**n_words
    assert list(found.loc[["RND", "ECT"], "n"]) == [2 * n_words] * 2
    assert found.loc["RIPA", "unit"] == "pairs of gendered words"


@pytest.mark.parametrize(
    "name", ["estimators", "association", "erasure", "trace", "supervised_map"]
)
def test_the_figures_of_a_run_are_drawn(studied, name):
    figure, data = build(RunFiles(studied), name)
    assert figure.axes
    assert len(data)


def test_pairs_of_other_lengths_are_traced_and_not_patched(studied):
    """The tokenizer of the small model takes every word apart into letters."""
    found = Experiment.open(studied).study("tracing")[0].to_json()
    assert found["n_left_out"] > 0
    assert found["strongest_head"] is None
    assert not (studied / "latent/patching.parquet").exists()


def test_prompts_for_testing_are_placed_on_maps_that_were_fitted_without_them(studied):
    table, made = read_table(studied / "latent/maps.parquet", kind="maps")
    found = Experiment.open(studied).study("maps")[0].to_json()["supervised"]["placed"]
    is_new = (table["split"] == "test").to_numpy()
    assert 0 < found["n"] == is_new.sum() < len(table)
    places = table[["supervised_x", "supervised_y"]].to_numpy()
    nearest = NearestNeighbors(n_neighbors=1).fit(places[~is_new])
    rows = nearest.kneighbors(places[is_new], return_distance=False)[:, 0]
    groups = table["group"].to_numpy(str)
    assert found["value"] == (groups[~is_new][rows] == groups[is_new]).mean()
    store = EmbeddingStore.open(studied / "embeddings")
    z = store.vectors(table["prompt"][~is_new].tolist())
    alone = neighbor_map(z, labels=groups[~is_new], seed=made.seed)
    np.testing.assert_array_equal(places[~is_new], alone.coordinates)


@pytest.mark.slow
def test_tinytowns_pairs_are_patched(tmp_path):
    experiment = Experiment.create(tmp_path / "run", model="tinytown")
    experiment.embed()
    experiment.fit(n_bootstrap=50)
    found = experiment.study("tracing", **QUICK)[0].to_json()
    assert found["n_left_out"] == 0
    assert found["carriers"][0]["position"] == "person"
    assert found["carriers"][-1]["position"] == "end"
    assert found["first"]["position"] == "end"
    figure, _ = build(RunFiles(tmp_path / "run"), "heads")
    assert figure.axes
    assert build(RunFiles(tmp_path / "run"), "patching")[0].axes
    (tmp_path / "run/latent/heads.parquet").unlink()
    again = experiment.study("tracing")[0]
    assert again.was_made
    assert "heads.parquet" in again.why


def test_the_command_prints_json_alone_and_before_fit_says_what_to_do(
    studied, tmp_path, model_folder, done, refusal
):
    told = done("study", studied, "association", "--json")
    assert list(json.loads(told)) == ["association"]
    done("embed", tmp_path / "run", "--model", model_folder)
    assert "association requires fit" in refusal("study", tmp_path / "run")
