"""Vectors come back bit for bit from every format, and a damaged file is refused by place."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probe.errors import ArtifactError, DataError
from probe.text.vector_files import read_vectors, write_vectors
from probe.text.vectors import NamedVectors

SUFFIXES = [".npy", ".npz", ".safetensors", ".parquet", ".jsonl"]
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


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=50)
@given(vectors=named_vectors())
def test_every_format_gives_names_and_bits_back_or_refuses_to_write(
    tmp_path_factory, suffix, vectors
):
    path = tmp_path_factory.mktemp("kinds") / f"a{suffix}"
    if suffix == ".npy" and any(set(name) & set("\r\n\ufeff") for name in vectors.names):
        with pytest.raises(DataError, match="cannot hold the name"):
            write_vectors(vectors, path)
        assert not path.exists()
        return
    write_vectors(vectors, path)
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


@pytest.mark.parametrize("kind", ["float16", "float64", ">f4"])
def test_other_floats_become_float32_and_the_notes_say_so(array, kind):
    matrix = np.random.default_rng(0).standard_normal((3, 4)).astype(kind)
    vectors = read_vectors(array(matrix))
    assert isinstance(read_vectors(array(np.float32(matrix))).matrix, np.memmap)
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_array_equal(vectors.matrix, matrix.astype(np.float32))
    converted = [f"its numbers were converted from {kind} to float32"] if kind != ">f4" else []
    assert list(vectors.notes) == converted


def test_repeated_rows_are_dropped_and_zero_rows_kept_and_the_notes_say_so(array):
    vectors = read_vectors(array(np.array([[1, 2], [0, 0], [1, 2]], np.float32), "aba"))
    assert vectors.names == ("a", "b")
    assert vectors.notes == (
        "left out, as name and numbers are repeated, 1 row: 'a'",
        "zero, which has no direction, 1 row: 'b'",
    )


@pytest.mark.parametrize(
    ("matrix", "names", "said"),
    [
        (np.array([[1.0, 2.0], [1e300, 1.0], [0.0, 1.0]]), "abc", "beyond float32 in the rows of"),
        (np.eye(3, dtype=np.int64), "abc", "numbers of type int64; needed float16, float32"),
        (np.eye(3, dtype=np.float32), "aab", "names both row 0 and row 1 'a'"),
        (np.eye(3, dtype=np.float32), ["a", "", "b"], "the name of row 1 of .* is empty"),
        (np.array([{}], dtype=object), "a", "a pickle runs code of its author"),
    ],
)
def test_an_array_without_one_name_and_finite_numbers_a_row_is_refused(array, matrix, names, said):
    with pytest.raises(DataError, match=said):
        read_vectors(array(matrix, names))


def test_npz_needs_one_matrix_and_no_pickled_names(tmp_path):
    one, names = np.ones((1, 2), np.float32), np.array(["a"])
    np.savez(tmp_path / "a.npz", x=one, y=one)
    with pytest.raises(DataError, match=r"holds the float matrices \['x', 'y'\]"):
        read_vectors(tmp_path / "a.npz", names=["a"])
    np.savez(tmp_path / "a.npz", names=names.astype(object), vectors=one)
    with pytest.raises(DataError, match="a pickle runs code of its author"):
        read_vectors(tmp_path / "a.npz", names=["a"])
    np.savez(tmp_path / "a.npz", embeddings=one, labels=names, ids=np.array([4]))
    assert read_vectors(tmp_path / "a.npz").names == ("a",)


def test_names_come_from_a_list_a_text_file_or_a_column(array, tmp_path, written):
    path = array(np.eye(3, dtype=np.float32))
    table = written("labels.csv", "id,name,code\n1,Man,/m/1\n2,Woman,/m/2\n3,Infant bed,/m/3\n")
    assert read_vectors(path).names == ("a", "b", "c")
    assert read_vectors(path, names=["x", "y", "z"]).names == ("x", "y", "z")
    assert read_vectors(path, names=table).names == ("Man", "Woman", "Infant bed")
    assert read_vectors(path, names=table, column="code").names == ("/m/1", "/m/2", "/m/3")
    (tmp_path / "a.names.txt").unlink()
    with pytest.raises(DataError, match=r"there is no a\.names\.txt beside it; give a file"):
        read_vectors(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors", "a.parquet"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
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
    frame[["id", "embedding"]].to_parquet(tmp_path / "c.parquet")
    assert read_vectors(tmp_path / "c.parquet", names=["x", "y", "z"]).names == ("x", "y", "z")
    with pytest.raises(DataError, match="holds no names"):
        read_vectors(tmp_path / "c.parquet")


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [3.0]], [[1.0, 2.0], None]])
def test_ragged_tables_are_refused_by_row(tmp_path, written, rows):
    frame = pd.DataFrame({"name": ["a", "b"], "vector": rows})
    frame.to_parquet(tmp_path / "a.parquet")
    lines = [json.dumps({"name": n, "vector": r}) for n, r in zip("ab", rows, strict=True)]
    for path in (tmp_path / "a.parquet", written("a.jsonl", "\n".join(lines))):
        with pytest.raises(DataError, match="2, has no list of 2 numbers"):
            read_vectors(path)


def test_an_unknown_format_and_a_missing_file_are_refused(written):
    for name in ("a.hdf5", "a.txt.gz", "a.pkl"):
        with pytest.raises(ValueError, match=f"format of {name} is unknown; needed a name that"):
            read_vectors(written(name, "x"))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_vectors("nowhere.npy")


def test_an_export_that_fails_leaves_what_stood_there(tmp_path):
    path = tmp_path / "a.npy"
    path.write_text("kept")
    vectors = NamedVectors(("a\nb", "c"), np.eye(2, dtype=np.float32), "made")
    with pytest.raises(DataError, match=r"cannot hold the name 'a\\nb'; export to \.parquet"):
        write_vectors(vectors, path)
    assert path.read_text() == "kept"
    with pytest.raises(ArtifactError, match="cannot write"):
        write_vectors(vectors, path / "inside.parquet")
    with pytest.raises(ArtifactError, match="cannot write"):
        write_vectors(NamedVectors(("a", "b"), vectors.matrix, "made"), path / "inside.npy")


@given(row=st.lists(finite, min_size=2, max_size=5), words=st.lists(odd_text, max_size=3))
def test_names_with_spaces_are_read_from_glove_unless_they_end_in_a_number(
    tmp_path_factory, row, words
):
    name = " ".join(["x", *words])
    assume(not any(word.replace(".", "").lstrip("-").isdigit() for word in name.split(" ")[1:]))
    numbers = " ".join(f"{value:.9g}" for value in row)
    path = tmp_path_factory.mktemp("glove") / "a.txt"
    path.write_text(f"the {numbers}\n{name} {numbers}\nof {numbers}\n", encoding="utf-8")
    vectors = read_vectors(path)
    assert vectors.names == ("the", name, "of")
    expected = np.array([row] * 3, np.float32)
    np.testing.assert_array_equal(bits(vectors.matrix), bits(expected))


def test_word2vec_text_and_glove_are_recognised_by_their_first_line(written):
    rows = "the 0.5 1\nof -1 2e-3\n"
    for content in ("2 2\n" + rows, rows, "2 2\n" + rows.replace("\n", " \n"), "\ufeff" + rows):
        vectors = read_vectors(written("a.txt", content))
        assert vectors.names == ("the", "of")
        np.testing.assert_array_equal(vectors.matrix, np.array([[0.5, 1], [-1, 2e-3]], np.float32))
    assert read_vectors(written("b.txt", "12\t0.5\t1\n7 8\t1\t2\n")).names == ("12", "7 8")


def test_word2vec_binary_is_read_with_and_without_line_breaks(written):
    rows = np.array([[1, 2], [3, 4]], "<f4")
    for end in (b"", b"\n"):
        content = b"2 2\n" + b"".join(
            name + b" " + row.tobytes() + end
            for name, row in zip((b"caf\xc3\xa9", b"of"), rows, strict=True)
        )
        vectors = read_vectors(written("a.bin", content))
        assert vectors.names == ("café", "of")
        np.testing.assert_array_equal(vectors.matrix, rows)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"name": "a", "vector": [1, 2]}\n{"name": ', "line 2, is not JSON"),
        ("a.jsonl", '{"name": "a", "vector": [1, 2]}\n\n[1]', "line 3, is a JSON list"),
        ("a.jsonl", '{"name": "a", "vector": [1, 2]}\n{"vector": [1, 2]}', "the name of row 1"),
        ("a.jsonl", '{"name": "a", "vector": [1, null]}', "in the rows of 'a'"),
        ("a.jsonl", '{"name": "a"}', "0 columns of number lists"),
        ("a.jsonl", '{"name": "a", "x": [1, 2], "y": [1, 2]}', "2 columns of number lists"),
        ("a.jsonl", "\n\n", "holds no rows"),
        ("a.txt", "3 2\na 1 2\nb 3 4\n", "holds 2 vectors; needed 3 rows"),
        ("a.txt", "2 2\na 1 2\nb 3\n", "line 3, has 1 numbers; needed 2"),
        ("a.txt", "2 2\na 1 2\nb 3 4 5\n", "line 3, has 3 numbers; needed 2"),
        ("a.txt", "a 1 2\n\nb 1 x\n", "line 3, could not convert string to float: 'x'"),
        ("a.txt", "a 1 2\nb 1 nan\n", "NaN, infinity .* in the rows of 'b'"),
        ("a.txt", b"a 1 2\ncaf\xe9 1 2\n", "line 2, is not UTF-8"),
        ("a.txt", "2 2\n", "holds 0 vectors; needed 2 rows"),
        ("a.txt", "", "is empty"),
        ("a.bin", b"2 2\na " + bytes(8) + b"b " + bytes(7), "is truncated: .* ends within row 2"),
        ("a.bin", b"9999999999999 300\na ", "is truncated"),
        ("a.bin", b"1 2\n\xff " + bytes(8), "row 1: its name is not UTF-8"),
        (
            "a.bin",
            b"\xba\x16\x4f\x2f" + bytes(40),
            "no word2vec binary; a model of fastText",
        ),
        ("a.bin", b"", "is empty"),
    ],
)
def test_a_damaged_file_is_refused_by_line_or_row(written, name, content, said):
    with pytest.raises(DataError, match=said) as caught:
        read_vectors(written(name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_detic_loads_with_one_call(real_data):
    folder = real_data / "detic"
    vectors = read_vectors(folder / "oid_clip_a+cname.npy", names=folder / "oid_categories.csv")
    assert vectors.matrix.shape == (498, 512)
    assert vectors.notes[0] == "its numbers were converted from float16 to float32"
    assert vectors.notes[1].endswith("'Bench', 'Mouse'")
