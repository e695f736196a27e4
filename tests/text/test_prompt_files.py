"""Prompts come from any common file as they stand there, each once, or are refused by line."""

import csv
import json
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError
from probe.text.prompt_files import read_prompts

PROMPTS = ["a photo of a nurse", 'she said "hello", twice', "صورة ممرضة", " a\u2028b ", "007"]

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n")
texts = st.lists(
    st.text(characters, min_size=1).filter(lambda text: text.strip()),
    min_size=1,
    max_size=5,
    unique=True,
)


def test_a_list_holds_a_prompt_a_line_without_empty_and_repeated_ones(written):
    lines = ["", *PROMPTS, " \t", PROMPTS[0], "", PROMPTS[0]]
    found = read_prompts(written("a.txt", "\n".join(lines)))
    assert found.prompts == PROMPTS
    assert found.table.columns.tolist() == ["prompt"]
    assert found.summary == "5 prompts from a.txt; left out: 3 empty, 2 repeated"


@pytest.mark.slow
@given(prompts=texts)
def test_every_table_gives_back_what_was_written_to_it(tmp_path_factory, prompts):
    folder = tmp_path_factory.mktemp("tables")
    rows = [(text, index, f"x{index}") for index, text in enumerate(prompts)]
    frame = pd.DataFrame(rows, columns=["prompt", "number", "kind"])
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        with (folder / f"a{suffix}").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([frame.columns, *rows])
    lines = [json.dumps(dict(zip(frame.columns, row, strict=True))) for row in rows]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    frame.to_parquet(folder / "a.parquet")
    (folder / "a.txt").write_bytes("\n".join(prompts).encode())
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        found = read_prompts(folder / f"a{suffix}")
        pd.testing.assert_frame_equal(found.table, frame, check_dtype=False)
        assert found.column == "prompt"
    assert read_prompts(folder / "a.txt").prompts == prompts


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("a.csv", 'prompt,kind\n"a nurse\nat work",1\na cook,2\n', ["a nurse\nat work", "a cook"]),
        ("a.jsonl", '"a nurse"\n\n"a cook"\n', ["a nurse", "a cook"]),
        ("a.jsonl", '"a \\ud83d\\ude80"\n', ["a 🚀"]),
        ("a.txt", b"\xef\xbb\xbfa nurse\r\na cook\r\n", ["a nurse", "a cook"]),
    ],
)
def test_quotes_json_and_byte_order_marks_are_read_as_their_standards_say(
    written, name, content, prompts
):
    assert read_prompts(written(name, content)).prompts == prompts


def test_attributes_are_numbers_if_all_of_them_are(written):
    found = read_prompts(
        written("a.csv", "text,whole,real,code,mixed,gap\na,1,0.5,007,1,\nb,2,1e3,010,x,3\n")
    )
    table = found.table
    assert table["whole"].tolist() == [1, 2]
    assert table["real"].tolist() == [0.5, 1000.0]
    assert table["code"].tolist() == ["007", "010"]
    assert table["mixed"].tolist() == ["1", "x"]
    assert table["gap"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("source,Caption,id\ncoco,a nurse,1\n", "Caption"),  # the only one with a usual name
        ("id,job,share\n1,a nurse,0.9\n", "job"),  # the only one of text
    ],
)
def test_the_column_that_can_be_meant_is_taken_and_said(written, content, column):
    found = read_prompts(written("a.csv", content))
    assert (found.prompts, found.column) == (["a nurse"], column)
    assert f"from column {column!r} of a.csv" in found.summary


def test_a_named_column_is_taken_and_one_called_prompt_is_kept_beside_it(written):
    path = written("a.csv", "prompt,caption\na nurse,a cook\n")
    found = read_prompts(path, column="caption")
    assert found.table.to_dict("list") == {"prompt": ["a cook"], "prompt_in_file": ["a nurse"]}


@pytest.mark.parametrize(
    ("header", "column", "said"),
    [
        ("job,place", None, r"has the columns job, place, and the prompts could be in any of"),
        ("prompt,text", None, r"any of prompt, text; name the column with --column"),
        ("job,place", "jobs", r"has no column 'jobs' \(did you mean 'job'\?\); its columns are"),
    ],
)
def test_an_unclear_or_unknown_column_is_refused_with_the_columns_there_are(
    written, header, column, said
):
    with pytest.raises(DataError, match=said):
        read_prompts(written("a.csv", f"{header}\nx,y\n"), column=column)


def test_a_column_of_numbers_is_taken_for_prompts_only_if_it_is_named(written):
    path = written("a.csv", "id,n\n1,2\n")
    with pytest.raises(DataError, match="none of its columns"):
        read_prompts(path)
    assert read_prompts(path, column="id").prompts == ["1"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"a nurse\na caf\xe9\n", "line 2, is not UTF-8"),
        ("a.txt", "a nurse\n".encode("utf-16"), r"line 1, is not UTF-8 \(it begins as UTF-16 does"),
        ("a.txt", b"a nurse\n\na c\0ok\n", "line 3, holds a NUL byte"),
        ("a.txt", b"", "is empty"),
        ("a.txt", b"\n \n", "holds no prompt; needed at least one"),
        ("a.csv", b"prompt,n\n", "holds no prompt; needed at least one"),
        ("a.csv", b"prompt,n\na,1\nb\n", "line 3, has 1 fields; needed 2"),
        ("a.csv", b"prompt,n\na,1\nb,c,2\n", "line 3, has 3 fields; needed 2"),
        ("a.csv", b'prompt,n\na,1\n"b"c,2\n', "line 3, is damaged"),
        ("a.csv", b'prompt,n\n"b,2\n', "line 2, is damaged"),
        ("a.csv", b"prompt,prompt\na,b\n", "names the column 'prompt' twice"),
        ("a.csv", b"prompt\ta\na\t1\n", "looks separated by '\\\\t'"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": \n', "line 2, is not JSON"),
        ("a.jsonl", b'{"prompt": "a"}\n[1]\n', "line 2, is a JSON list"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": 3}\n', "line 2: a prompt is a int"),
        ("a.jsonl", b'{"prompt": "a\\ud800"}\n', "line 1, is no valid Unicode"),
        ("a.jsonl", b'{"prompt": "a", "x": ["\\uD800"]}\n', "line 1, is no valid Unicode"),
        ("a.jsonl", b'{"prompt": "a\\u0000b"}\n', "line 1: .*NUL byte"),
        ("a.parquet", b"PAR1 and no more", "is not Parquet"),
    ],
)
def test_a_damaged_file_is_refused_by_line_and_in_one_line(written, name, content, said):
    with pytest.raises(DataError, match=said) as caught:
        read_prompts(written(name, content))
    assert "\n" not in str(caught.value)


def test_files_of_another_kind_and_missing_files_are_refused(written, tmp_path):
    with pytest.raises(ValueError, match=r"a\.xlsx is no file of prompts; needed .*\.parquet"):
        read_prompts(written("a.xlsx", "x"))
    with pytest.raises(ValueError, match="has no columns; leave it out"):
        read_prompts(written("a.txt", "x"), column="prompt")
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        read_prompts(tmp_path / "none.txt")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(DataError, match="cannot be read: it is no regular file"):
        read_prompts(tmp_path / "folder.txt")


def test_more_rows_than_a_chunk_are_read_in_order(written):
    prompts = [f"prompt {number % 20_001}" for number in range(25_000)]
    found = read_prompts(written("a.txt", "\n".join(prompts)))
    assert found.prompts == prompts[:20_001]
    assert "4999 repeated" in found.summary


@pytest.mark.slow
def test_a_million_lines_need_less_than_half_a_gigabyte(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"a photo of the person number {i} at work\n" for i in range(10**6)))
    script = (
        "import resource, sys\n"
        "from probe.text.prompt_files import read_prompts\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = len(read_prompts(sys.argv[1]))\n"
        "print(n, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    n, megabytes = result.stdout.split()
    assert int(n) == 10**6
    assert float(megabytes) < 500


@pytest.mark.real
def test_real_tables_are_read_without_being_told_the_column(real_data):
    captions = read_prompts(real_data / "uce" / "coco_30k.csv")
    assert captions.column == "prompt"
    assert 29_000 < len(captions) <= 30_000
    sentences = read_prompts(real_data / "winogender" / "all_sentences.tsv")
    assert (sentences.column, len(sentences)) == ("sentence", 720)
