"""Vectors in the formats of word2vec and GloVe are read exactly, and refused by line or row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probe.errors import DataError
from probe.text.vector_files import read_vectors

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
odd_text = st.sampled_from(['"', "'", "a b", "null", "nan", "1", "-2.5", "#", ",", "é", "a\x85b"])


def bits(matrix):
    return np.asarray(matrix).view(np.uint32)


@pytest.fixture
def text(tmp_path):
    """Write a text or binary file."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


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


def test_word2vec_text_and_glove_are_recognised_by_their_first_line(text):
    rows = "the 0.5 1\nof -1 2e-3\n"
    for content in ("2 2\n" + rows, rows, "2 2\n" + rows.replace("\n", " \n"), "\ufeff" + rows):
        vectors = read_vectors(text("a.txt", content))
        assert vectors.names == ("the", "of")
        np.testing.assert_array_equal(vectors.matrix, np.array([[0.5, 1], [-1, 2e-3]], np.float32))


@pytest.mark.parametrize("header", ["", "20000 10\n"])
def test_names_with_spaces_keep_their_place_among_a_million_characters(tmp_path, header):
    n_rows, rng = 20_000, np.random.default_rng(0)
    matrix = rng.standard_normal((n_rows, 10)).astype(np.float32)
    odd = {0, n_rows - 1, *rng.choice(n_rows, 20).tolist()}
    names = [f"w{row} x" if row in odd else f"w{row}" for row in range(n_rows)]
    rows = [
        f"{name} {' '.join(map(repr, numbers))}\n" + "\n" * (row % 3000 == 5)
        for row, (name, numbers) in enumerate(zip(names, matrix.tolist(), strict=True))
    ]
    (tmp_path / "a.txt").write_text(header + "".join(rows), encoding="utf-8")
    vectors = read_vectors(tmp_path / "a.txt")
    assert list(vectors.names) == names
    np.testing.assert_array_equal(vectors.matrix, matrix)


def test_rows_may_be_separated_by_tabs_and_names_be_numbers(text):
    vectors = read_vectors(text("a.txt", "12\t0.5\t1\n7 8\t1\t2\n"))
    assert vectors.names == ("12", "7 8")
    assert read_vectors(text("b.txt", "12 0.5 1\n7 1 2\n")).names == ("12", "7")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("3 2\na 1 2\nb 3 4\n", "first line of .* says 3 rows of 2; found 2"),
        ("1 2\na 1 2\nb 3 4\n", "first line of .* says 1 rows of 2; found 2"),
        ("2 2\na 1 2\nb 3\n", "line 3, has 1 numbers; needed 2"),
        ("2 2\na 1 2\nb 3 4 5\n", "line 3, has 3 numbers; needed 2"),
        ("a 1 2\n\nb 1 x\n", "line 3, could not convert string to float: 'x'"),
        ("a 1 2\nb 1 nan\n", r"NaN, infinity .* in row 1 \('b'\)"),
        (b"a 1 2\ncaf\xe9 1 2\n", "line 2, is not UTF-8"),
        (b"caf\xe9 1 2\n", "line 1, is not UTF-8"),
        ("2 2\n", "says 2 rows of 2; found 0"),
        ("", "is empty"),
    ],
)
def test_damaged_text_is_refused_by_line(text, content, said):
    with pytest.raises(DataError, match=said) as caught:
        read_vectors(text("a.txt", content))
    assert "\n" not in str(caught.value)


def test_word2vec_binary_is_read_with_and_without_line_breaks(text):
    rows = np.array([[1, 2], [3, 4]], "<f4")
    for end in (b"", b"\n"):
        content = b"2 2\n" + b"".join(
            name + b" " + row.tobytes() + end
            for name, row in zip((b"caf\xc3\xa9", b"of"), rows, strict=True)
        )
        vectors = read_vectors(text("a.bin", content))
        assert vectors.names == ("café", "of")
        np.testing.assert_array_equal(vectors.matrix, rows)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"2 2\na " + bytes(8) + b"b " + bytes(7), "need at least 20 bytes, but 19 follow"),
        (b"2 2\nabc " + bytes(8) + b"b " + bytes(7), "is truncated: .* ends within row 2"),
        (b"1 2\na " + bytes(8) + b"b " + bytes(8), "says 1 rows, but 10 bytes follow"),
        (b"9999999999999 300\na ", "need at least .* the file is truncated"),
        (b"1 2\n\xff " + bytes(8), "row 1: its name is not UTF-8"),
        (b"\xba\x16\x4f\x2f" + bytes(40), "no word2vec binary; a model of fastText or PyTorch"),
        (b"0 3\n", "says 0 rows of 3"),
        (b"", "is empty"),
    ],
)
def test_a_damaged_binary_is_refused(text, content, said):
    with pytest.raises(DataError, match=said):
        read_vectors(text("a.bin", content))


@pytest.mark.real
def test_the_word2vec_text_of_wefe_is_what_numpy_reads(real_data):
    path = real_data / "wefe" / "weat_w2v.txt"
    vectors = read_vectors(path)
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    assert vectors.names == tuple(line.split(" ", 1)[0] for line in lines)
    expected = np.array([line.split()[1:] for line in lines], dtype=np.float64)
    np.testing.assert_array_equal(vectors.matrix, expected.astype(np.float32))
