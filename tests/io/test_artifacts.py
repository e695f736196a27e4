"""Files are whole or absent, know where they came from, and are the same for the same content."""

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from probe.errors import ArtifactError, BusyError
from probe.io.artifacts import (
    SCHEMA,
    Provenance,
    atomic,
    exclusive,
    hash_file,
    hash_parts,
    read_json,
    read_provenance,
    read_table,
    read_tensors,
    write_json,
    write_table,
    write_tensors,
)

PROVENANCE = Provenance(kind="states", model="tinytown", revision="ab12", seed=7, made_from="cd34")
ARRAYS = {"vectors": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.array([3, 1, 2])}
TABLE = pd.DataFrame(
    {
        "prompt": ["a nurse", "ein Müller"],
        "pair": np.array([0, -1]),
        "share": [0.9, np.nan],
        "held_out": [True, False],
        "group": pd.Categorical(["male", "female"]),
    }
)
DATA = {"r": 0.5, "counts": [1, 2], "name": "Müller"}

WRITERS = {
    ".safetensors": lambda path, provenance=PROVENANCE: write_tensors(path, ARRAYS, provenance),
    ".parquet": lambda path, provenance=PROVENANCE: write_table(path, TABLE, provenance),
    ".json": lambda path, provenance=PROVENANCE: write_json(path, DATA, provenance),
}
READERS = {".safetensors": read_tensors, ".parquet": read_table, ".json": read_json}
every_format = pytest.mark.parametrize("suffix", WRITERS)


def run_python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Round trips


@given(
    array=npst.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_tensors_come_back_bit_for_bit(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    write_tensors(path, {"a": array, "turned": array.T}, PROVENANCE)
    read, provenance = read_tensors(path, kind="states")
    assert provenance == PROVENANCE
    for name, expected in (("a", array), ("turned", array.T)):
        assert read[name].dtype == expected.dtype
        assert read[name].shape == expected.shape
        assert read[name].tobytes() == expected.tobytes()


def test_a_table_comes_back_with_its_types(tmp_path):
    write_table(tmp_path / "a.parquet", TABLE, PROVENANCE)
    read, provenance = read_table(tmp_path / "a.parquet", kind="states")
    assert provenance == PROVENANCE
    pd.testing.assert_frame_equal(read, TABLE)


def test_json_comes_back_and_numpy_numbers_become_plain_ones(tmp_path):
    data = {**DATA, "p": np.float64(0.25), "n": np.int64(3), "low": np.array([1, 2])}
    write_json(tmp_path / "a.json", data, PROVENANCE)
    read, provenance = read_json(tmp_path / "a.json", kind="states")
    assert provenance == PROVENANCE
    assert read == {**DATA, "p": 0.25, "n": 3, "low": [1, 2]}


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf")])
def test_json_refuses_numbers_that_json_lacks(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"r": value}, PROVENANCE)
    assert names(tmp_path) == []


@every_format
def test_the_same_content_gives_the_same_bytes_in_another_folder(tmp_path, suffix):
    for folder in ("one", "two"):
        WRITERS[suffix](tmp_path / folder / f"a{suffix}")
    assert hash_file(tmp_path / "one" / f"a{suffix}") == hash_file(tmp_path / "two" / f"a{suffix}")


@every_format
def test_provenance_is_read_from_every_format_whatever_its_schema(tmp_path, suffix):
    future = replace(PROVENANCE, schema=SCHEMA + 1, seed=None)
    WRITERS[suffix](tmp_path / f"a{suffix}", future)
    assert read_provenance(tmp_path / f"a{suffix}") == future


# Bad files


@every_format
def test_a_missing_file_and_one_of_another_kind_are_refused(tmp_path, suffix):
    with pytest.raises(ArtifactError, match="does not exist; run the stage that writes it"):
        READERS[suffix](tmp_path / f"a{suffix}", kind="states")
    WRITERS[suffix](tmp_path / f"a{suffix}")
    with pytest.raises(ArtifactError, match="holds 'states'; a file of 'direction' was needed"):
        READERS[suffix](tmp_path / f"a{suffix}", kind="direction")


@every_format
@pytest.mark.parametrize(
    ("schema", "advice"),
    [(SCHEMA + 1, "update moesd-probe"), (1, "`moesd-probe run NEW_RUN --model tinytown`")],
)
def test_a_file_of_another_schema_is_refused(tmp_path, suffix, schema, advice):
    WRITERS[suffix](tmp_path / f"a{suffix}", replace(PROVENANCE, schema=schema))
    with pytest.raises(
        ArtifactError, match=f"schema {schema} .* reads schema {SCHEMA}; .*{advice}"
    ):
        READERS[suffix](tmp_path / f"a{suffix}", kind="states")


@every_format
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.97])
def test_a_truncated_file_is_refused_in_one_line_that_names_it(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ArtifactError) as caught:
        READERS[suffix](path, kind="states")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_others_wrote_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"r": 1}')
    TABLE.to_parquet(tmp_path / "a.parquet")
    for suffix in (".json", ".parquet"):
        with pytest.raises(ArtifactError, match="has no provenance"):
            READERS[suffix](tmp_path / f"a{suffix}", kind="states")


# Whole or absent


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_successful_write_replaces_the_file_and_keeps_the_suffix_while_writing(tmp_path):
    path = tmp_path / "new folder" / "a.png"
    with atomic(path) as temporary:
        assert temporary.suffix == ".png"
        assert not path.exists()
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(path.parent) == ["a.png"]


def test_a_full_disk_loses_nothing_and_says_so_in_one_line(tmp_path):
    # A limit on the size of files stands in for a full disk: the kernel refuses the same write.
    for suffix, write in WRITERS.items():
        write(tmp_path / f"a{suffix}")
    before = {name: hash_file(tmp_path / name) for name in names(tmp_path)}
    script = """
import resource, sys
from pathlib import Path
import numpy as np, pandas as pd
from probe.io.artifacts import *
from probe.errors import ArtifactError
big = np.random.default_rng(0).random(100_000)
table = pd.DataFrame({"x": big})
provenance = Provenance(kind="states", model="m", revision="r", seed=None, made_from="h")
write_table(Path(sys.argv[1]) / "warm.parquet", table, provenance)
(Path(sys.argv[1]) / "warm.parquet").unlink()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for name, write in {
    "a.safetensors": lambda path: write_tensors(path, {"x": big}, provenance),
    "a.parquet": lambda path: write_table(path, table, provenance),
    "a.json": lambda path: write_json(path, {"x": big}, provenance),
}.items():
    try:
        write(Path(sys.argv[1]) / name)
    except ArtifactError as error:
        print(error)
"""
    result = run_python(script, tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(WRITERS), result.stdout
    for line, suffix in zip(lines, WRITERS, strict=True):
        assert line.startswith(f"cannot write {tmp_path / f'a{suffix}'}: ")
        assert line.endswith("; free some space and run the same command again")
    assert {name: hash_file(tmp_path / name) for name in names(tmp_path)} == before


def test_a_read_only_folder_is_named_in_one_line():
    script = """
import os, sys
from probe.io.artifacts import *
from probe.errors import ArtifactError
if os.geteuid() == 0:
    os.seteuid(65534)  # permissions do not bind the superuser
def hold():
    with exclusive(sys.argv[1]):
        print("held")
provenance = Provenance(kind="states", model="m", revision="r", seed=None, made_from="h")
for act in (lambda: write_json(sys.argv[1] + "/a.json", {}, provenance), hold):
    try:
        act()
    except ArtifactError as error:
        print(error)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        result = run_python(script, folder)
        Path(folder).chmod(0o755)
        assert names(Path(folder)) == []
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"cannot write {path}: Permission denied; make its folder writable or choose another"
        for path in (f"{folder}/a.json", folder)
    ]


def test_a_folder_in_the_place_of_the_file_or_a_file_in_that_of_the_folder_is_named(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "folder.json", tmp_path / "file" / "a.json"):
        with pytest.raises(ArtifactError, match=f"cannot write {path}: .*; choose another place"):
            write_json(path, DATA, PROVENANCE)
    with pytest.raises(ArtifactError, match="is a file; needed"), exclusive(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file", "folder.json"]


# One at a time


def test_a_folder_that_is_moved_while_it_is_in_use_is_not_made_again(tmp_path):
    with exclusive(tmp_path / "run"):
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        with pytest.raises(ArtifactError, match="run was moved while it was in use; move it back"):
            write_json(tmp_path / "run" / "images" / "a.json", DATA, PROVENANCE)
    assert names(tmp_path) == ["elsewhere"]


def test_a_second_holder_is_refused_at_once_and_the_folder_is_free_afterwards(tmp_path):
    with exclusive(tmp_path):
        with pytest.raises(BusyError, match=f"{tmp_path} is in use"), exclusive(tmp_path):
            pass
        script = "import sys, probe.io.files as f\nwith f.exclusive(sys.argv[1]): pass"
        other = run_python(script, tmp_path)
        assert other.stderr.splitlines()[-1].startswith(f"probe.errors.BusyError: {tmp_path} is in")
    with exclusive(tmp_path):
        pass


# Hashes


def test_the_hash_of_a_file_is_the_start_of_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"tinytown")
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"tinytown").hexdigest()[:16]


parts = st.lists(st.text(max_size=3) | st.binary(max_size=3), max_size=4)


@given(one=parts, two=parts)
def test_different_parts_have_different_hashes(one, two):
    assert (hash_parts(*one) == hash_parts(*two)) == (one == two)


def test_the_hash_of_an_array_knows_its_type_and_shape_but_not_its_memory_order():
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    assert hash_parts(array) == hash_parts(np.asfortranarray(array))
    others = (array.T, array.ravel(), array.astype(np.uint64), array.tobytes())
    assert len({hash_parts(other) for other in (array, *others)}) == 5
