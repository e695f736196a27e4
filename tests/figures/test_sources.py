from dataclasses import replace

import pytest

from figures.sources import SOURCES, RunFiles
from probe.errors import ArtifactError, StageError
from probe.io.artifacts import read_table, write_table


@pytest.mark.parametrize("name", SOURCES)
def test_a_missing_file_names_the_stage_that_writes_it_in_one_line(run, name):
    files = RunFiles(run)
    files.path(name).unlink()
    with pytest.raises(StageError, match=f"moesd-probe {SOURCES[name].stage} ") as caught:
        files.require(*SOURCES)
    assert str(files.path(name)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_run_is_told_to_begin_with_the_first_stage_it_lacks(tmp_path):
    with pytest.raises(StageError, match=r"run `moesd-probe fit .*` first"):
        RunFiles(tmp_path / "nowhere").table("map")


def test_a_truncated_table_is_refused(run):
    path = RunFiles(run).path("shares")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"shares\.parquet"):
        RunFiles(run).table("shares")


def test_files_of_two_models_are_not_mixed(run):
    path = RunFiles(run).path("shares")
    table, made = read_table(path, kind="shares")
    write_table(path, table, replace(made, model="another"))
    with pytest.raises(ArtifactError, match="'another'"):
        RunFiles(run).require("map", "shares")
