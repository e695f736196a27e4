"""Vectors come back bit for bit from every format, and a damaged file is refused by place."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from probe.errors import ArtifactError, DataError, DegenerateDataError, ShapeError
from probe.text.vector_files import FORMATS, read_vectors, write_vectors
from probe.text.vectors import NamedVectors

SUFFIX = {
    "npy": ".npy",
    "npz": ".npz",
    "safetensors": ".safetensors",
    "parquet": ".parquet",
    "jsonl": ".jsonl",
    "word2vec": ".txt",
    "word2vec-binary": ".bin",
    "glove": ".vec",
}
BREAKS = {
    "npy": "\r\n",
    "word2vec": " \t\r\n",
    "glove": " \t\r\n",
    "word2vec-binary": " \t\r\n",
}
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
odd_text = st.sampled_from(['"', "'", "a b", "null", "nan", "1", "-2.5", "#", ",", "é", "a\x85b"])
names_of = st.lists(any_text | odd_text, min_size=1, max_size=6, unique=True)


@st.composite
def named_vectors(draw):
    names = draw(names_of)
    shape = (len(names), draw(st.integers(2, 4)))
    return NamedVectors(tuple(names), draw(hnp.arrays(np.float32, shape, elements=finite)), "made")


def bits(matrix):
    return np.asarray(matrix).view(np.uint32)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=50)
@given(vectors=named_vectors())
def test_every_format_gives_names_and_bits_back_or_refuses_to_write(
    tmp_path_factory, kind, vectors
):
    path = tmp_path_factory.mktemp("kinds") / f"a{SUFFIX[kind]}"
    is_carried = not any(mark in name for name in vectors.names for mark in BREAKS.get(kind, ""))
    is_carried &= kind not in BREAKS or not any(n.startswith("\ufeff") for n in vectors.names)
    if not is_carried:
        with pytest.raises(DataError, match="cannot hold the name"):
            write_vectors(vectors, path, format=kind)
        assert not path.exists()
        return
    write_vectors(vectors, path, format=kind)
    again = read_vectors(path)
    assert again.names == vectors.names
    np.testing.assert_array_equal(bits(again.matrix), bits(vectors.matrix))


@pytest.fixture
def array(tmp_path):
    """Save an array as npy, with names beside it."""

    def save(matrix, names="abc"):
        np.save(tmp_path / "a.npy", matrix)
        (tmp_path / "a.names.txt").write_text("\n".join(names), encoding="utf-8")
        return tmp_path / "a.npy"

    return save


@pytest.fixture
def text(tmp_path):
    """Write a text or binary file."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_arrays_are_mapped_and_not_loaded(array, tmp_path):
    vectors = read_vectors(array(np.eye(3, dtype=np.float32)))
    assert isinstance(vectors.matrix, np.memmap)
    write_vectors(vectors, tmp_path / "a.safetensors")
    assert isinstance(read_vectors(tmp_path / "a.safetensors").matrix, np.memmap)


@pytest.mark.parametrize("kind", ["float16", "float64", ">f4"])
def test_other_floats_become_float32_and_it_is_said(array, kind):
    matrix = np.random.default_rng(0).standard_normal((3, 4)).astype(kind)
    vectors = read_vectors(array(matrix))
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_array_equal(vectors.matrix, matrix.astype(np.float32))
    said = {"float16": "from float16", "float64": "from float64", ">f4": None}[kind]
    assert vectors.notes == ((f"its numbers were converted {said} to float32",) if said else ())
    assert all(note in vectors.summary() for note in vectors.notes)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    matrix = np.array([[1.0, -2.5], [0.15625, 3.0]], np.float32)  # exact in eight bits
    upper = (bits(matrix) >> 16).astype(np.uint16)
    save_file({"vectors": upper}, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes().replace(b'"U16"', b'"BF16"', 1)
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size + 1].rstrip() + b" " * 7
    (tmp_path / "a.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + upper.tobytes()
    )
    vectors = read_vectors(tmp_path / "a.safetensors", names=["a", "b"])
    np.testing.assert_array_equal(vectors.matrix, matrix)


def test_numbers_beyond_float32_are_refused_by_row(array):
    with pytest.raises(DataError, match=r"beyond float32 in row 1 \('b'\)"):
        read_vectors(array(np.array([[1.0, 2.0], [1e300, 1.0], [0.0, 1.0]])))


def test_integers_are_no_coordinates(array):
    with pytest.raises(DataError, match="numbers of type int64; needed float16, float32"):
        read_vectors(array(np.eye(3, dtype=np.int64)))


def test_a_repeated_name_with_equal_rows_is_dropped_and_said_and_others_are_refused(array):
    matrix = np.array([[1, 2], [3, 4], [1, 2]], np.float32)
    vectors = read_vectors(array(matrix, "aba"))
    assert vectors.names == ("a", "b")
    assert "1 rows were dropped because they repeat a name and its numbers: 'a'" in vectors.notes
    with pytest.raises(DataError, match="names both row 0 and row 1 'a'"):
        read_vectors(array(matrix, "aab"))


def test_zero_rows_are_kept_and_said(array):
    vectors = read_vectors(array(np.array([[1, 2], [0, 0], [1, 2]], np.float32)))
    assert len(vectors) == 3
    assert vectors.notes == ("1 rows are zero and have no direction: 'b'",)


@pytest.mark.parametrize(
    ("matrix", "error"),
    [
        (np.ones(3, np.float32), ShapeError),
        (np.ones((0, 3), np.float32), ShapeError),
        (np.ones((3, 1), np.float32), DegenerateDataError),
        (np.ones((2, 3), np.float32), DataError),
    ],
)
def test_what_is_no_matrix_of_named_rows_is_refused(array, matrix, error):
    with pytest.raises(error):
        read_vectors(array(matrix))


def test_nothing_pickled_is_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", names=np.array(["a"], dtype=object), vectors=np.ones((1, 2)))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"sentences": ["a"], "embeddings": [[1.0]]}))
    for name in ("a.npy", "a.npz", "a.pkl"):
        with pytest.raises(DataError, match="a pickle runs code of its author"):
            read_vectors(tmp_path / name, names=["a"])


def test_npz_needs_one_matrix_and_at_most_one_list_of_names(tmp_path):
    one, names = np.ones((1, 2), np.float32), np.array(["a"])
    np.savez(tmp_path / "a.npz", x=one, y=one)
    with pytest.raises(DataError, match=r"holds the float arrays \['x', 'y'\]"):
        read_vectors(tmp_path / "a.npz", names=["a"])
    np.savez(tmp_path / "a.npz", embeddings=one, labels=names, ids=np.array([4]))
    assert read_vectors(tmp_path / "a.npz").names == ("a",)


def test_names_come_from_a_list_a_text_file_or_a_column(array, tmp_path, text):
    path = array(np.eye(3, dtype=np.float32))
    table = text("labels.csv", "id,name,code\n1,Man,/m/1\n2,Woman,/m/2\n3,Infant bed,/m/3\n")
    assert read_vectors(path).names == ("a", "b", "c")
    assert read_vectors(path, names=["x", "y", "z"]).names == ("x", "y", "z")
    assert read_vectors(path, names=table).names == ("Man", "Woman", "Infant bed")
    assert read_vectors(path, names=table, column="code").names == ("/m/1", "/m/2", "/m/3")
    (tmp_path / "a.names.txt").unlink()
    with pytest.raises(DataError, match=r"there is no a\.names\.txt beside it; give a file"):
        read_vectors(path)


def test_a_gap_among_the_names_is_refused_and_does_not_shift_them(array):
    with pytest.raises(DataError, match=r"the name of row 1 of a\.npy is empty"):
        read_vectors(array(np.eye(3, dtype=np.float32), ["a", "", "b"]))


def test_names_are_data_and_never_paths(tmp_path):
    inner = tmp_path / "inner"
    names = ("../../escape", "/etc/passwd", "a.npz", "..")
    vectors = NamedVectors(names, np.eye(4, dtype=np.float32), "made")
    for kind in FORMATS:
        write_vectors(vectors, inner / f"a{SUFFIX[kind]}", format=kind)
        assert read_vectors(inner / f"a{SUFFIX[kind]}").names == names
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert {path.name.split(".")[0] for path in inner.iterdir()} == {"a"}


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors", "a.parquet"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    path = tmp_path / name
    rows = np.random.default_rng(0).standard_normal((200, 20)).astype(np.float32)
    write_vectors(NamedVectors(tuple(map(str, range(200))), rows, "made"), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"is empty|truncated|damaged") as caught:
        read_vectors(path)
    assert "\n" not in str(caught.value)


def test_sentence_embeddings_are_read_as_pandas_and_datasets_save_them(tmp_path):
    rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["a nurse", "b", "c"], "embedding": list(rows)})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(embedding=[row.tolist() for row in rows]).to_json(
        tmp_path / "a.jsonl", orient="records", lines=True, double_precision=15
    )
    frame.assign(embedding=list(rows.astype(np.float64))).to_parquet(tmp_path / "b.parquet")
    for name in ("a.parquet", "a.jsonl", "b.parquet"):
        vectors = read_vectors(tmp_path / name)
        assert vectors.names == ("a nurse", "b", "c")
        np.testing.assert_array_equal(vectors.matrix, rows)


def test_tables_without_names_get_them_from_elsewhere(tmp_path, text):
    frame = pd.DataFrame({"id": [1, 2], "vector": [[1.0, 2.0], [3.0, 4.0]]})
    frame.to_parquet(tmp_path / "a.parquet")
    names = text("names.txt", "a\nb\n")
    assert read_vectors(tmp_path / "a.parquet", names=names).names == ("a", "b")
    with pytest.raises(DataError, match="holds no names"):
        read_vectors(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1.0, 2.0], [3.0]], "2, has 1 numbers.*; needed 2"),
        ([[1.0, 2.0], None], "2, has no list"),
        ([[1.0, 2.0], [3.0, None]], "2, "),
    ],
)
def test_ragged_tables_are_refused_by_row(tmp_path, text, rows, said):
    frame = pd.DataFrame({"name": ["a", "b"], "vector": rows})
    frame.to_parquet(tmp_path / "a.parquet")
    lines = [json.dumps({"name": n, "vector": r}) for n, r in zip("ab", rows, strict=True)]
    for path in (tmp_path / "a.parquet", text("a.jsonl", "\n".join(lines))):
        with pytest.raises(DataError, match=said):
            read_vectors(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "a", "vector": [1, 2]}\n{"name": ', "line 2, is not JSON"),
        ('{"name": "a", "vector": [1, 2]}\n\n[1]', "line 3, is no JSON object"),
        ('{"name": "a", "vector": [1, 2]}\n{"vector": [1, 2]}', "line 2, has no text in 'name'"),
        ('{"name": "a", "vector": [1, true]}', "line 1, has more than numbers"),
        ('{"name": "a", "vector": [1, NaN]}', r"row 0 \('a'\)"),
        ('{"name": "a"}', "0 columns of number lists"),
        ('{"name": "a", "x": [1, 2], "y": [1, 2]}', "2 columns of number lists"),
        ("\n\n", "holds no rows"),
    ],
)
def test_damaged_json_is_refused_by_line(text, content, said):
    with pytest.raises(DataError, match=said):
        read_vectors(text("a.jsonl", content))


def test_an_unknown_format_a_compressed_file_and_a_useless_column_are_refused(text, array):
    with pytest.raises(ValueError, match=r"format of a\.hdf5 is unknown; needed a name that ends"):
        read_vectors(text("a.hdf5", "x"))
    with pytest.raises(ValueError, match="one of the formats npy, npz"):
        read_vectors(text("a.txt", "x"), format="word2vek")
    with pytest.raises(DataError, match="unpack it first with gunzip"):
        read_vectors(text("a.txt.gz", "x"))
    with pytest.raises(ValueError, match="column is 'name', but no table is read"):
        read_vectors(array(np.eye(3, dtype=np.float32)), names=["a", "b", "c"], column="name")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_vectors("nowhere.npy")


def test_what_stood_there_still_does_after_a_failed_export(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("kept")
    vectors = NamedVectors(("a b", "c"), np.eye(2, dtype=np.float32), "made")
    with pytest.raises(DataError, match=r"cannot hold the name 'a b'; export to \.parquet"):
        write_vectors(vectors, path)
    assert path.read_text() == "kept"
    with pytest.raises(ArtifactError, match="cannot write"):
        write_vectors(vectors, path / "inside.parquet")


@pytest.mark.real
def test_detic_loads_with_one_call_and_gives_the_known_cosine(real_data):
    folder = real_data / "detic"
    vectors = read_vectors(folder / "oid_clip_a+cname.npy", names=folder / "oid_categories.csv")
    assert vectors.matrix.shape == (498, 512)
    assert vectors.notes[0] == "its numbers were converted from float16 to float32"
    assert vectors.notes[1].endswith("'Bench', 'Mouse'")
    man, woman, boy, girl = vectors.select(["Man", "Woman", "Boy", "Girl"]).unit()
    one, two = man - woman, boy - girl
    cosine = one @ two / (np.linalg.norm(one) * np.linalg.norm(two))
    assert cosine == pytest.approx(0.650, abs=5e-4)
