"""A file of captions, of any publisher, becomes counts, shares with intervals, and safe tables."""

import csv
import json

import pandas as pd
import pytest

from probe.errors import ArtifactError, DataError
from probe.text.captions.classification import audit_captions
from probe.text.captions.files import open_captions

CAPTIONS = ["A man on a pier, smiling .", "Two women | one bike .", 'A dog says "hi" .']
LISTED = ["A man and his dog.", "A woman.", "A man.", "Some people.", "A cow."]


@pytest.fixture
def listed(written):
    return written("a.txt", "\n".join(LISTED) + "\n")


def read(path, **options):
    return list(open_captions(path, **options).captions)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Layouts


TOKENS = "".join(f"1000{n // 2}.jpg#{n}\t{caption}\n" for n, caption in enumerate(CAPTIONS))
TABLE = (  # the published file has one row without its second mark
    f"image_name| comment_number| comment\n1.jpg| 0| {CAPTIONS[0]}\n1.jpg| 1| {CAPTIONS[1]}\n"
    f"2199200615.jpg| 4   {CAPTIONS[2]}\n"
)
LIST = f"image,caption\n1.jpg,{CAPTIONS[0]}\n1.jpg,{CAPTIONS[1]}\n"
LIST += '2.jpg,"A dog says ""hi"" ."\n'
NARRATIVES = "\n".join(
    json.dumps({"image_id": "0", "annotator_id": 7, "caption": caption, "traces": [[{}] * 20]})
    for caption in CAPTIONS
)
ANNOTATIONS = [{"image_id": 1, "id": n, "caption": text} for n, text in enumerate(CAPTIONS)]
COCO = {"info": {}, "images": [{"id": 1}], "licenses": [], "annotations": ANNOTATIONS}


@pytest.mark.parametrize(
    ("name", "text", "layout"),
    [
        ("results_20130124.token", TOKENS, "Flickr's tokens"),
        ("Flickr8k.token.txt", TOKENS, "Flickr's tokens"),
        ("captions.txt", TOKENS, "Flickr's tokens"),
        ("results.csv", TABLE, "Flickr's table"),
        ("captions.txt", LIST, "Flickr's list"),
        ("open_images_train_v6.jsonl", NARRATIVES, "OpenImages' narratives"),
        ("captions_val2017.json", json.dumps(COCO), "COCO's annotations"),
    ],
)
def test_the_layouts_of_publishers_are_recognised(written, name, text, layout):
    path = written(name, text)
    assert read(path) == CAPTIONS
    assert open_captions(path).place() == f"{name} ({layout})"


@pytest.mark.parametrize("text", ["TEXT", "caption"])
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv"])
def test_the_tables_of_laion(tmp_path, text, suffix):
    columns = {"SAMPLE_ID": range(4), "url": ["https://example.org"] * 4, text: [*CAPTIONS, None]}
    frame = pd.DataFrame(columns | {"NSFW": ["UNLIKELY"] * 4, "similarity": [0.3] * 4})
    path = tmp_path / f"part-00000{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    assert read(path) == [*CAPTIONS, None]
    assert open_captions(path).column == text


def test_two_columns_that_could_be_meant_are_refused_until_one_is_named(tmp_path):
    frame = pd.DataFrame({"caption": ["a"], "text": pd.Categorical(["b"])})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="name the column with --column"):
        open_captions(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", column="text") == ["b"]


def test_a_plain_list_stays_one(written):
    lines = ["A man #1\tA woman", "image,caption"]
    assert read(written("a.txt", "\n".join(lines) + "\n")) == lines


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.token", "1.jpg#0\tA man.\n2.jpg\n", "line 2, is '2.jpg'; needed the name of an image"),
        ("a.csv", "image_name| comment_number| comment\n1.jpg|x\n", "line 2, is '1.jpg|x'; needed"),
        ("a.txt", "image,caption\n1.jpg\n", "line 2, is '1.jpg'; needed an image, a comma"),
        ("a.json", '{"a": 1}', "has no list 'annotations' of objects"),
        ("a.json", "{", "is not JSON"),
        ("a.parquet", "no parquet", "is not Parquet"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(written, name, text, said):
    with pytest.raises(DataError, match=said.replace("|", r"\|")):
        read(written(name, text))


# Counts


def test_every_caption_is_counted_once_in_its_category(listed):
    found = audit_captions(listed)
    assert found.counts == {
        "male": 2, "female": 1, "both": 0, "neutral_person": 1, "no_person": 1
    }  # fmt: skip
    assert len(found) == 5
    assert found.words["male"] == {"man": 2, "his": 1}


def test_a_repeated_caption_counts_each_time_and_an_empty_row_is_counted_apart(written):
    found = audit_captions(written("a.txt", "A man.\n\nA man.\n \nA man.\n"))
    assert (found.counts["male"], found.n_empty) == (3, 2)


def test_the_interval_of_a_share_is_exact(listed):
    # 2 of 5, as tables of Clopper and Pearson have it
    share = audit_captions(listed).share("male")
    assert share.value == 0.4
    assert (share.low, share.high) == pytest.approx((0.0527, 0.8534), abs=1e-4)


def test_json_holds_what_the_summary_shows(listed):
    found = audit_captions(listed).to_json()
    male = found["categories"]["male"]
    assert (found["n"], male["n"], male["words"]) == (5, 2, {"man": 2, "his": 1})
    assert male["share"].keys() == {"value", "low", "high"}
    assert json.loads(json.dumps(found)) == found


# Tables


def test_the_table_says_of_each_caption_what_decided(tmp_path, listed):
    audit_captions(listed, out=tmp_path / "out.csv")
    rows = rows_of(tmp_path / "out.csv")
    assert [row["caption"] for row in rows] == LISTED
    assert list(rows[0].values()) == [LISTED[0], "male", "man his", ""]


def test_counterfactuals_are_written_of_the_captions_that_say_a_gender(tmp_path, written):
    path = written("a.txt", "A man and his dog.\nSome people.\nA woman.\nA man and Santa.\n")
    found = audit_captions(path, counterfactuals=tmp_path / "counterfactuals.csv").to_json()
    assert [tuple(row.values()) for row in rows_of(tmp_path / "counterfactuals.csv")] == [
        ("A man and his dog.", "male", "A woman and her dog.", "A person and their dog."),
        ("A woman.", "female", "A man.", "A person."),
        ("A man and Santa.", "male", "", ""),
    ]
    assert found["counterfactual"] == {"n": 3, "n_without_swap": 1, "n_without_neutral": 1}
    assert "counterfactual" not in audit_captions(path).to_json()


def test_a_formula_in_a_caption_is_text_in_the_table(tmp_path, written):
    formula = '=HYPERLINK("http://example.org","A man")'
    audit_captions(written("a.txt", formula + "\n"), out=tmp_path / "out.csv")
    assert [row["caption"] for row in rows_of(tmp_path / "out.csv")] == ["'" + formula]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "\n \n", "holds no caption; needed at least one"),
        ("a.jsonl", '{"caption": "A man."}\n{"caption": 3}\n', r"a\.jsonl, line 2: a prompt is a"),
    ],
)
def test_a_refused_file_leaves_no_table(tmp_path, written, name, text, said):
    with pytest.raises(DataError, match=said):
        audit_captions(written(name, text), out=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_files_and_tables_of_another_kind_are_refused(tmp_path, written, listed):
    with pytest.raises(ValueError, match="is no file of captions; needed one that ends in"):
        audit_captions(written("a.xlsx", "A man.\n"))
    with pytest.raises(ValueError, match="has no columns; leave it out"):
        audit_captions(listed, column="caption")
    with pytest.raises(ValueError, match=r"needed a name that ends in \.csv"):
        audit_captions(listed, out=tmp_path / "out.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ArtifactError, match="choose another place"):
        audit_captions(listed, out=tmp_path / "folder.csv")
