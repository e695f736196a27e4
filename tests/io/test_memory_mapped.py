"""What is laid out in pieces is an ordinary safetensors file, whole or absent."""

import numpy as np
import pytest

from probe.io.artifacts import Provenance, read_tensors
from probe.io.memory_mapped import map_tensors, write_in_parts

PROVENANCE = Provenance(kind="rows", model="m", revision="r", seed=None, made_from="x")
SHAPES = {"names": ("U64", (3,)), "values": ("F32", (3, 2)), "none": ("F32", (0, 4))}


def fill(path):
    with write_in_parts(path, SHAPES, PROVENANCE) as put:
        put("names", slice(None), np.array([2**63, 1, 0], np.uint64))
        put("values", np.array([2, 0]), np.array([[5, 6], [1, 2]], np.float32))


@pytest.mark.parametrize("read", [read_tensors, map_tensors])
def test_what_was_put_is_read_with_zeros_where_nothing_was(tmp_path, read):
    path = tmp_path / "a.safetensors"
    fill(path)
    arrays, provenance = read(path, kind="rows")
    assert provenance == PROVENANCE
    assert arrays["names"].tolist() == [2**63, 1, 0]
    np.testing.assert_array_equal(arrays["values"], np.float32([[1, 2], [0, 0], [5, 6]]))
    assert arrays["none"].shape == (0, 4)


def test_the_same_pieces_give_the_same_bytes_in_any_order(tmp_path):
    fill(tmp_path / "a.safetensors")
    with write_in_parts(tmp_path / "b.safetensors", SHAPES, PROVENANCE) as put:
        put("values", slice(0, 1), np.float32([[1, 2]]))
        put("values", slice(2, 3), np.float32([[5, 6]]))
        put("names", slice(0, 2), np.array([2**63, 1], np.uint64))
    a, b = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert a == b
