"""Named vectors refuse what nothing could be estimated from, and say which row it is."""

import subprocess
import sys

import numpy as np
import pytest

from probe.errors import DataError, DegenerateDataError, ShapeError
from probe.text.vectors import NamedVectors


def named(matrix, names=None):
    matrix = np.asarray(matrix, dtype=np.float32)
    names = [f"w{row}" for row in range(len(matrix))] if names is None else names
    return NamedVectors(tuple(names), matrix, "a.npy")


@pytest.mark.parametrize("name", ["", "a\0", "\ud800"])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(DataError, match=r"the name of row 1 of a\.npy is empty or no text"):
        named(np.ones((2, 2)), ["a", name])


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (2, 2, 2)])
def test_what_is_no_matrix_is_refused_with_its_shape(shape):
    with pytest.raises(ShapeError, match=r"needed \(n_rows, n_features\)"):
        named(np.ones(shape))


def test_a_zero_row_is_kept_until_a_direction_is_asked_of_it():
    vectors = named([[3, 4], [0, 0], [0, -2]], "abc")
    with pytest.raises(DegenerateDataError, match="named 'b' are zero and have no direction"):
        vectors.unit()
    np.testing.assert_array_equal(
        vectors.select(["c", "a"]).unit(), np.array([[0, -1], [0.6, 0.8]], np.float32)
    )


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_rows_of_any_scale_become_unit_rows(scale):
    unit = named(scale * np.random.default_rng(0).standard_normal((20, 8))).unit()
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)


def test_rows_are_found_by_name_and_a_missing_one_is_told_with_its_neighbour():
    vectors = named(np.eye(3), ["nurse", "Nurse", "cook"])
    np.testing.assert_array_equal(vectors.rows(["cook", "nurse"]), [2, 0])
    with pytest.raises(DataError, match=r"no vector for 'nurses' \(did you mean 'nurse'\?\)"):
        vectors.rows(["cook", "nurses"])


def test_the_hash_is_of_names_and_numbers():
    vectors = named(np.arange(12).reshape(4, 3))
    assert vectors.hash == named(np.arange(12).reshape(4, 3)).hash
    assert vectors.hash != named(np.arange(12).reshape(4, 3), "abcd").hash
    assert vectors.hash != named(np.arange(1, 13).reshape(4, 3)).hash


def test_torch_is_not_imported_by_reading_and_writing_vectors(tmp_path):
    script = f"""
import sys
import numpy as np
from probe import Concept, ConceptPrompts, read_vectors
from probe.text.vector_files import write_vectors
from probe.text.vectors import NamedVectors
ConceptPrompts.build(Concept.load("gender"))
for suffix in ("npy", "npz", "safetensors", "parquet", "jsonl"):
    path = {str(tmp_path)!r} + "/a." + suffix
    write_vectors(NamedVectors(("a", "b"), np.eye(2, dtype=np.float32), "made"), path)
    read_vectors(path)
assert not [name for name in ("torch", "transformers", "sklearn") if name in sys.modules]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
