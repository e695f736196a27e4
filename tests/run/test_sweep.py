import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli.main import main
from probe.errors import StageError
from probe.io.artifacts import read_json, read_table, read_tensors
from probe.run import Experiment
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.sweep import Axis, Sweep, on_front, parse_axis, variants_of
from probe.run.training_examples import training_lexicon


@pytest.fixture(scope="module")
def swept(finished_run, tmp_path_factory):
    """A run, and the sweep of its experts' width."""
    run = shutil.copytree(finished_run, tmp_path_factory.mktemp("swept") / "run")
    sweep = Sweep(run, [parse_axis("train.width=2,32")])
    return run, sweep, sweep.run()


# Axes


def test_values_are_of_the_settings_type():
    assert parse_axis("train.width=8, 16") == Axis("train", "width", (8, 16))
    assert parse_axis("generate.guidance_scale=1,7.5").values == (1.0, 7.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width=8", "is no axis; needed one like train.width=8,16,32"),
        ("fit.strength=1", "settings of fit cannot be swept; needed one of train, generate"),
        ("train.depth=1", "train has no setting 'depth'; known are "),
        ("train.width=wide", "width is 'wide'; needed a value of type int"),
        ("train.width=8,8", "takes a value twice"),
    ],
)
def test_a_wrong_axis_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse_axis(text)


def test_every_combination_is_a_variant_and_the_last_axis_runs_fastest():
    variants = variants_of([parse_axis("train.width=8,16"), parse_axis("train.seed=1,2")])
    assert [variant.name for variant in variants] == [
        "width=8,seed=1",
        "width=8,seed=2",
        "width=16,seed=1",
        "width=16,seed=2",
    ]


def test_a_setting_is_swept_once():
    with pytest.raises(ValueError, match="each setting once"):
        variants_of([parse_axis("train.seed=1"), parse_axis("train.seed=2")])


@pytest.mark.slow
@given(st.text())
def test_no_value_leads_out_of_the_folder(value):
    (variant,) = variants_of([Axis("train", "objective", (value,))])
    assert "/" not in variant.name
    assert variant.name.startswith("objective=")


# The front


def test_a_point_that_another_beats_in_one_thing_and_equals_in_the_other_is_off_the_front():
    costs = [(1, 5), (2, 3), (2, 4), (3, 3), (4, 1)]
    assert on_front(costs).tolist() == [True, True, False, False, True]


def test_equal_points_stay_on_the_front_together():
    assert on_front([(1, 1), (1, 1)]).all()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_whatever_is_off_the_front_is_beaten_by_something_on_it(costs):
    is_on = on_front(costs)
    points = np.array(costs)
    assert is_on.any()
    for point in points[~is_on]:
        front = points[is_on]
        assert ((front <= point).all(axis=1) & (front < point).any(axis=1)).any()


def test_a_cost_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="needed numbers"):
        on_front([(1.0, np.nan)])


# Which occupations are trained on


@pytest.mark.parametrize("n_wanted", [1, 2, 3])
def test_of_the_training_occupations_as_many_are_seen_as_asked_for(finished_run, n_wanted):
    config = Config.read(finished_run).with_settings("train", {"n_occupations": n_wanted})
    run = Run(finished_run, config)
    left = {job.name for job in training_lexicon(run).occupations if not job.held_out}
    assert len(left) == n_wanted
    assert left <= {job.name for job in run.lexicon.occupations if not job.held_out}


def test_few_occupations_span_the_shares(finished_run):
    config = Config.read(finished_run).with_settings("train", {"n_occupations": 2})
    run = Run(finished_run, config)
    seen = sorted(job.share_women for job in run.lexicon.occupations if not job.held_out)
    left = [job.share_women for job in training_lexicon(run).occupations if not job.held_out]
    assert sorted(left) == [seen[0], seen[-1]]


def test_all_are_seen_if_none_is_asked_for_or_more_than_there_are(finished_run):
    config = Config.read(finished_run)
    for n_wanted in (0, 99):
        run = Run(finished_run, config.with_settings("train", {"n_occupations": n_wanted}))
        assert training_lexicon(run) == run.lexicon


# The sweep


@pytest.mark.slow
def test_each_variant_is_a_run_with_its_own_settings(swept):
    run, sweep, _ = swept
    for width in (2, 32):
        folder = sweep.folder / f"width={width}"
        assert Config.read(folder).train.width == width
        assert not Experiment.open(folder).evaluate().was_made
    narrow, _ = read_tensors(sweep.folder / "width=2/moesd/experts.safetensors", kind="experts")
    wide, _ = read_tensors(run / "moesd/experts.safetensors", kind="experts")
    assert sum(w.size for w in narrow.values()) < sum(w.size for w in wide.values())


@pytest.mark.slow
def test_the_variant_with_the_runs_own_settings_is_the_runs_own_correction(swept):
    run, sweep, result = swept
    for name in ("token", "experts", "gate"):
        same = (sweep.folder / "width=32/moesd" / f"{name}.safetensors").read_bytes()
        assert same == (run / "moesd" / f"{name}.safetensors").read_bytes()
    own = read_json(run / "evaluation/quality.json", kind="quality")[0]
    (variant,) = (v for v in result.to_json()["variants"] if v["name"] == "width=32")
    assert variant["corrected"]["mad"] == own["corrected"]["mad"]
    assert variant["base"]["mad"] == own["base"]["mad"]


@pytest.mark.slow
def test_base_pictures_are_not_made_again(swept):
    run, sweep, _ = swept
    picture = next((run / "images/base").rglob("*.png"))
    counterfactual = sweep.folder / "width=2" / picture.relative_to(run)
    assert picture.samefile(counterfactual)


@pytest.mark.slow
def test_the_table_says_which_variants_are_on_the_front(swept):
    _, sweep, result = swept
    table, _ = read_table(sweep.folder / "sweep.parquet", kind="sweep")
    # variants, sides, figures and those of the target; failures are the corrected side's alone
    assert len(table) == 2 * (2 * (6 + 6) + 5)
    failed = table[table["figure"] == "overcorrected"]
    assert (failed["side"] == "corrected").all()
    assert failed["value"].between(0, 1).all()
    met = table[(table["side"] == "base") & (table["figure"] == "off_target")]
    mad = table[(table["side"] == "base") & (table["figure"] == "mad")]
    np.testing.assert_allclose(met["value"], mad["value"].to_numpy())  # parity is asked for
    assert table.groupby("variant")["on_front"].nunique().eq(1).all()
    lightest = table.loc[table["n_trainable"].idxmin(), "variant"]
    assert table.loc[table["variant"] == lightest, "on_front"].all()
    assert result.summary().splitlines()[-1].startswith("over 2 variants: ")


@pytest.mark.slow
def test_a_sweep_that_is_done_is_read_not_made(swept):
    run, sweep, result = swept
    before = {path: path.stat().st_mtime_ns for path in sweep.folder.rglob("*.png")}
    again = Sweep(run, [parse_axis("train.width=2,32")]).run()
    assert again.to_json() == result.to_json()
    assert {path: path.stat().st_mtime_ns for path in sweep.folder.rglob("*.png")} == before


@pytest.mark.slow
def test_a_sweep_of_the_guidance_keeps_the_correction(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    axis = parse_axis("generate.guidance_scale=1,3")
    sweep = Sweep(run, [axis], n_images=2)
    sweep.run()
    weights = (run / "moesd/experts.safetensors").read_bytes()
    for value in ("1.0", "3.0"):
        folder = sweep.folder / f"guidance_scale={value}"
        assert (folder / "moesd/experts.safetensors").read_bytes() == weights
        assert Config.read(folder).generate.n_images == 2


def test_a_sweep_needs_a_fit(finished_run, tmp_path):
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "latent/direction.safetensors").unlink()
    with pytest.raises(StageError, match="sweep requires fit"):
        Sweep(run, [parse_axis("train.width=2")]).run()
    assert not (run / "sweeps").exists()


@pytest.mark.parametrize(
    ("axis", "name", "said"),
    [
        ("train.width=0,2", None, "width is 0; needed at least 1"),
        ("train.width=2", "../out", "a sweep cannot be called '../out'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_made(finished_run, axis, name, said):
    with pytest.raises(ValueError, match=said):
        Sweep(finished_run, [parse_axis(axis)], name=name)
    assert not (finished_run / "sweeps").exists()


@pytest.mark.slow
def test_the_command_draws_what_it_found(swept):
    run, _, result = swept
    arguments = ["sweep", str(run), "--over", "train.width=2,32"]
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[-1] == f"figure: {run / 'figures/sweeps/width.png'}"
    told = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(told.stdout) == result.to_json()
    wrong = CliRunner().invoke(main, ["sweep", str(run), "--over", "width"])
    assert wrong.exit_code != 0
    assert "needed one like" in wrong.stderr
