"""A change makes stale what was computed from it, and nothing else."""

import pytest

from probe.io.artifacts import read_table
from probe.run import Experiment
from probe.run.stages import train
from probe.text.prompt_files import read_prompts


def test_more_resamples_of_fit_leave_the_correction_up_to_date(run):
    experiment = Experiment.open(run)
    assert experiment.fit(n_bootstrap=77).was_made
    assert [experiment.train().was_made, experiment.generate().was_made] == [False, False]


def test_user_prompts_leave_the_correction_up_to_date(run, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a wizard\na witch\n")
    model = Experiment.open(run).config.model
    experiment = Experiment.create(run, model=model, prompts=read_prompts(prompts))
    assert experiment.embed().was_made
    assert experiment.fit().was_made
    assert [experiment.train().was_made, experiment.generate().was_made] == [False, False]


def test_another_seed_of_the_map_changes_the_map_and_trains_nothing(run, monkeypatch, contents):
    monkeypatch.delattr(train, "train_correction")
    before = contents(run / "moesd")
    experiment = Experiment.open(run)
    assert experiment.fit(seed=9).was_made
    assert experiment.train().was_made
    assert contents(run / "moesd") == before
    places, _ = read_table(run / "latent/map.parquet", kind="map")
    assert places["corrected_x"].notna().all()
    assert not experiment.generate().was_made


@pytest.mark.parametrize("study", ["directions", "association", "tracing"])
def test_more_resamples_of_fit_leave_a_study_up_to_date(run, study):
    experiment = Experiment.open(run)
    assert experiment.study(study, n_bootstrap=20)[0].was_made
    assert experiment.fit(n_bootstrap=77).was_made
    assert not experiment.study(study)[0].was_made
