"""Captions are read as their publishers lay them out, in small files that are written here."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from probe.errors import DataError
from probe.text.captions.classification import classify
from probe.text.captions.files import open_captions

CAPTIONS = ["A man on a pier, smiling .", "Two women | one bike .", 'A dog says "hi" .']


@pytest.fixture
def written(tmp_path):
    """Write text to a file."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def read(path, **options):
    return list(open_captions(path, **options).captions)


@pytest.mark.parametrize("name", ["results_20130124.token", "Flickr8k.token.txt", "captions.txt"])
def test_flickrs_tokens(written, name):
    lines = [f"1000{n // 2}.jpg#{n}\t{caption}" for n, caption in enumerate(CAPTIONS)]
    path = written(name, "\n".join(lines) + "\n")
    assert read(path) == CAPTIONS
    assert open_captions(path).place() == f"{name} (Flickr's tokens)"


def test_flickrs_table_with_the_row_that_lacks_a_mark(written):
    text = "image_name| comment_number| comment\n"
    text += f"1.jpg| 0| {CAPTIONS[0]}\n1.jpg| 1| {CAPTIONS[1]}\n2199200615.jpg| 4   {CAPTIONS[2]}\n"
    assert read(written("results.csv", text)) == CAPTIONS


def test_flickrs_list_of_pictures_and_captions(written):
    text = f"image,caption\n1.jpg,{CAPTIONS[0]}\n1.jpg,{CAPTIONS[1]}\n"
    text += '2.jpg,"A dog says ""hi"" ."\n'
    assert read(written("captions.txt", text)) == CAPTIONS


def test_the_narratives_of_openimages(written):
    trace = [[{"x": 0.1, "y": 0.2, "t": 0.0}] * 20]
    lines = [
        json.dumps(
            {
                "dataset_id": "open_images_train",
                "image_id": f"{number:016x}",
                "annotator_id": 7,
                "caption": caption,
                "timed_caption": [{"utterance": "A", "start_time": 0.0, "end_time": 0.3}],
                "traces": trace,
                "voice_recording": f"{number}.ogg",
            }
        )
        for number, caption in enumerate(CAPTIONS)
    ]
    path = written(
        "open_images_train_v6_localized_narratives-00000-of-00010.jsonl", "\n".join(lines)
    )
    assert read(path) == CAPTIONS
    assert open_captions(path).layout == "OpenImages' narratives"


def test_the_annotations_of_coco(written):
    annotations = [{"image_id": 1, "id": n, "caption": text} for n, text in enumerate(CAPTIONS)]
    data = {"info": {}, "images": [{"id": 1}], "licenses": [], "annotations": annotations}
    assert read(written("captions_val2017.json", json.dumps(data))) == CAPTIONS


@pytest.mark.parametrize("names", [("URL", "TEXT"), ("url", "caption")])
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv"])
def test_the_tables_of_laion(tmp_path, names, suffix):
    url, text = names
    frame = pd.DataFrame(
        {
            "SAMPLE_ID": [1, 2, 3, 4],
            url: [f"https://example.org/{n}.jpg" for n in range(4)],
            text: [*CAPTIONS, None],
            "LICENSE": ["?"] * 4,
            "NSFW": ["UNLIKELY"] * 4,
            "similarity": [0.3] * 4,
        }
    )
    path = tmp_path / f"part-00000{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    assert read(path) == [*CAPTIONS, None]
    assert open_captions(path).column == text


def test_a_categorical_column_of_a_parquet_file_holds_captions_too(tmp_path):
    frame = pd.DataFrame({"caption": pd.Categorical(["A man.", "A man.", "A cow."])})
    frame.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == ["A man.", "A man.", "A cow."]


def test_two_columns_that_could_be_meant_are_refused_until_one_is_named(tmp_path):
    frame = pd.DataFrame({"caption": ["a"], "text": ["b"]})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="name the column with --column"):
        open_captions(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", column="text") == ["b"]


def test_a_plain_list_stays_one(written):
    assert read(written("a.txt", "A man #1\tA woman\nimage,caption\n")) == [
        "A man #1\tA woman",
        "image,caption",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.token", "1.jpg#0\tA man.\n2.jpg\n", "line 2, is '2.jpg'; needed the name of an image"),
        ("a.csv", "image_name| comment_number| comment\n1.jpg|x\n", "line 2, is '1.jpg|x'; needed"),
        ("a.txt", "image,caption\n1.jpg\n", "line 2, is '1.jpg'; needed an image, a comma"),
        ("a.json", '{"a": 1}', "has no list 'annotations' of objects"),
        ("a.json", "{", "is not JSON"),
        ("a.jsonl", '{"annotator_id": 1, "caption": "A man."}\n{\n', "line 2, is not JSON"),
        ("a.parquet", "no parquet", "is not Parquet"),
        ("a.txt", "", "is empty"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(written, name, text, said):
    with pytest.raises(DataError, match=said.replace("|", r"\|")):
        read(written(name, text))


@pytest.mark.real
def test_every_sentence_of_winogender_is_classified_by_its_pronoun(real_data):
    table = pd.read_csv(real_data / "winogender" / "all_sentences.tsv", sep="\t")
    genders = table["sentid"].str.split(".").str[3]
    found = [classify(sentence).category for sentence in table["sentence"]]
    assert len(table) == 720
    assert found == genders.replace({"neutral": "neutral_person"}).tolist()


@pytest.mark.real
def test_almost_every_sentence_of_winobias_is_classified_by_its_pronoun(real_data):
    found = {}
    for path in (real_data / "winobias").glob("*_stereotyped_type?.txt.*"):
        for line in path.read_text(encoding="utf-8").splitlines():
            marks = set(re.findall(r"\[(\w+)\]", line.lower()))
            sentence = re.sub(r"^\s*\d+\s+|[\[\]]", "", line)
            found[sentence] = "female" if marks & {"she", "her", "hers"} else "male"
    others = [(classify(sentence).category, gender) for sentence, gender in found.items()]
    others = [category for category, gender in others if category != gender]
    assert len(found) > 3000
    # eight name a second gender, as in "she is a very generous man" and "his mother"
    assert len(others) <= 8
    assert set(others) <= {"both"}
