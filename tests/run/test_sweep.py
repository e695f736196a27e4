import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import BusyError, StageError
from probe.io.artifacts import read_json, read_table, read_tensors
from probe.run import Experiment
from probe.run.config import Config
from probe.run.folder import Run
from probe.run.images import training_lexicon
from probe.run.sweep import on_front, parse_axes, run_sweep, variant_name
from probe.text.templates import fill


@pytest.fixture(scope="module")
def swept(finished_run, tmp_path_factory):
    """A run, and the sweep of its experts' width."""
    run = shutil.copytree(finished_run, tmp_path_factory.mktemp("swept") / "run")
    return Path(run), run_sweep(run, parse_axes(["train.width=2,32"]), on_test=True)


def test_values_are_of_the_settings_type():
    axes = parse_axes(["train.width=8, 16", "generate.guidance_scale=1,7.5"])
    assert axes == {"train.width": (8, 16), "generate.guidance_scale": (1.0, 7.5)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width=8", "is no axis; needed one like train.width=8,16,32"),
        ("fit.strength=1", "settings of fit cannot be swept; needed one of train, generate"),
        ("train.depth=1", "train has no setting 'depth'; known are "),
        ("train.width=wide", "width is 'wide'; needed a value of type int"),
        ("train.width=8,8", "takes a value twice"),
        ("train.seed=2", "train.seed is given twice"),
    ],
)
def test_a_wrong_axis_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse_axes(["train.seed=1", text])


@given(st.text())
def test_no_value_leads_out_of_the_folder(value):
    name = variant_name({"train.width": 8, "train.objective": value})
    assert "/" not in name
    assert name.startswith("width=8,objective=")


# The front


def test_a_point_that_another_beats_in_one_thing_and_equals_in_the_other_is_off_the_front():
    costs = np.array([(1, 5), (1, 5), (2, 3), (2, 4), (3, 3), (4, 1)])
    assert on_front(costs).tolist() == [True, True, True, False, False, True]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_whatever_is_off_the_front_is_beaten_by_something_on_it(costs):
    points = np.array(costs)
    is_on = on_front(points)
    assert is_on.any()
    for point in points[~is_on]:
        front = points[is_on]
        assert ((front <= point).all(axis=1) & (front < point).any(axis=1)).any()


# Which occupations are trained on


@pytest.mark.parametrize("n_wanted", [0, 1, 2, 3, 99])
def test_as_many_training_occupations_are_seen_as_asked_for_and_they_span_the_shares(
    finished_run, n_wanted
):
    config = Config.read(finished_run).with_settings("train", {"n_occupations": n_wanted})
    run = Run(finished_run, config)
    known = {job.name: job.share_women for job in run.lexicon.occupations if job.split == "train"}
    left = set(training_lexicon(run).occupations_of("train"))
    assert len(left) == min(n_wanted or len(known), len(known))
    assert left <= known.keys()
    if n_wanted == 2:
        assert {known[name] for name in left} == {min(known.values()), max(known.values())}


# The sweep


@pytest.mark.slow
def test_each_variant_is_a_run_with_its_own_settings(swept):
    run, _ = swept
    for width in (2, 32):
        folder = run / "sweeps/width" / f"width={width}"
        assert Config.read(folder).train.width == width
        assert not Experiment.open(folder).evaluate().was_made
    narrow, _ = read_tensors(
        run / "sweeps/width" / "width=2/moesd/experts.safetensors", kind="experts"
    )
    wide, _ = read_tensors(run / "moesd/experts.safetensors", kind="experts")
    assert sum(w.size for w in narrow.values()) < sum(w.size for w in wide.values())
    image = next((run / "images/base").rglob("*.png"))
    assert image.samefile(run / "sweeps/width/width=2" / image.relative_to(run))  # not made again


@pytest.mark.slow
def test_the_variant_with_the_runs_own_settings_is_the_runs_own_correction(swept):
    run, result = swept
    for name in ("token", "experts", "gate"):
        same = (run / "sweeps/width" / "width=32/moesd" / f"{name}.safetensors").read_bytes()
        assert same == (run / "moesd" / f"{name}.safetensors").read_bytes()
    own = read_json(run / "evaluation/quality.json", kind="quality")[0]
    (variant,) = (v for v in result.to_json()["variants"] if v["name"] == "width=32")
    assert variant["corrected"]["mad"] == own["corrected"]["mad"]
    assert variant["base"]["mad"] == own["base"]["mad"]


@pytest.mark.slow
def test_the_table_says_which_variants_are_on_the_front(swept):
    run, result = swept
    table, _ = read_table(run / "sweeps/width" / "sweep.parquet", kind="sweep")
    # variants, sides and figures; failures are the corrected side's alone
    assert len(table) == 2 * (2 * 7 + 6)
    failed = table[table["figure"] == "overcorrected"]
    assert (failed["side"] == "corrected").all()
    assert failed["value"].between(0, 1).all()
    assert table.groupby("variant")["on_front"].nunique().eq(1).all()
    lightest = table.loc[table["n_trainable"].idxmin(), "variant"]
    assert table.loc[table["variant"] == lightest, "on_front"].all()
    assert result.summary().splitlines()[-1].startswith("over 2 variants: ")


@pytest.mark.slow
def test_a_sweep_of_the_guidance_keeps_the_correction(run):
    run_sweep(run, parse_axes(["generate.guidance_scale=1,3"]), n_images=2)
    weights = (run / "moesd/experts.safetensors").read_bytes()
    for value in ("1.0", "3.0"):
        folder = run / "sweeps/guidance_scale" / f"guidance_scale={value}"
        assert (folder / "moesd/experts.safetensors").read_bytes() == weights
        assert Config.read(folder).generate.n_images == 2
        assert Config.read(folder).train.reads_validation


@pytest.mark.slow
def test_a_run_is_inspected_and_its_report_written_while_its_sweep_works(run, drawing):
    (run / "report.html").unlink()
    outcomes = []

    def look(*_):
        if not outcomes:
            with pytest.raises(BusyError):
                Experiment.open(run / "sweeps/strength/strength=0.5").generate()
            experiment = Experiment.open(run)
            outcomes.extend([experiment.report(drawing[1]), experiment.inspect("a nurse")])

    run_sweep(run, parse_axes(["generate.strength=0.5"]), n_images=2, progress=look)
    assert outcomes[0].was_made


@pytest.mark.slow
def test_a_sweep_shows_nothing_that_is_for_testing_unless_asked(run):
    result = run_sweep(run, parse_axes(["generate.strength=0.5"]), n_images=2)
    figures = set(result.table["figure"])
    assert {"mad_train", "mad_validation"} < figures
    assert "mad_test" not in figures
    folder = run / "sweeps/strength/strength=0.5"
    labels, _ = read_table(folder / "evaluation/labels.parquet", kind="labels")
    lexicon = Experiment.open(folder)._run.lexicon
    tested = {name for name, split in lexicon.split_of.items() if split == "test"}
    assert not set(labels["subject"]) & tested
    worded = {fill(text, subject="cook") for text in lexicon.templates["test"].neutral}
    assert not set(labels["prompt"]) & worded
    assert "MAD, validation" in result.summary()


@pytest.mark.parametrize(
    ("axis", "name", "said"),
    [
        ("train.width=0,2", None, "width is 0; needed at least 1"),
        ("train.width=2", "../out", "a sweep cannot be called '../out'"),
        ("train.width=2", None, "sweep requires fit"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_made(run, axis, name, said):
    (run / "latent/direction.safetensors").unlink()
    with pytest.raises((ValueError, StageError), match=said):
        run_sweep(run, parse_axes([axis]), name=name)
    assert not (run / "sweeps").exists()


@pytest.mark.slow
def test_the_command_draws_what_it_found(swept, done):
    run, result = swept
    before = {path: path.stat().st_mtime_ns for path in (run / "sweeps").rglob("*.png")}
    arguments = ("sweep", run, "--over", "train.width=2,32", "--test")
    last = done(*arguments).splitlines()[-1]
    assert last == f"figure: {run / 'figures/sweeps/width.png'}"
    assert json.loads(done(*arguments, "--json")) == result.to_json()
    assert before == {path: path.stat().st_mtime_ns for path in (run / "sweeps").rglob("*.png")}
