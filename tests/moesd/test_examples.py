import json

import numpy as np
import pytest
from PIL import Image

from probe.errors import ArtifactError, DataError
from probe.moesd.examples import Examples


def write(folder, counts):
    rows = []
    for (subject, value), n in counts.items():
        for index in range(n):
            name = f"{subject}-{value}-{index}.png"
            Image.new("RGB", (16, 16), (index, 0, 255)).save(folder / name)
            rows.append(
                {"file_name": name, "prompt": f"a {subject}", "subject": subject, "value": value}
            )
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def test_values_are_equally_many_within_each_subject_and_the_limit_is_shared(tmp_path):
    counts = {("nurse", "man"): 3, ("nurse", "woman"): 9, ("cook", "man"): 5, ("cook", "woman"): 5}
    examples = Examples.read(write(tmp_path, counts))
    found = examples.table.groupby(["subject", "value"]).size()
    assert found["nurse"].tolist() == [3, 3]
    assert found["cook"].tolist() == [5, 5]
    limited = Examples.read(tmp_path, limit=8)
    assert limited.table.groupby("subject").size().tolist() == [4, 4]


def test_subjects_with_one_value_only_are_left_out_and_none_at_all_is_an_error(tmp_path):
    counts = {("nurse", "man"): 2, ("nurse", "woman"): 2, ("cook", "man"): 5}
    assert set(Examples.read(write(tmp_path, counts)).table["subject"]) == {"nurse"}
    with pytest.raises(DataError, match="cook"):
        Examples.read(write(tmp_path, {("cook", "man"): 5}))


def test_pixels_run_from_minus_one_to_one(tmp_path):
    pixels = Examples.read(write(tmp_path, {("a", "x"): 1, ("a", "y"): 1})).pixels()
    assert pixels.shape == (2, 3, 16, 16)
    np.testing.assert_array_equal(pixels[0, :, 0, 0], [-1, -1, 1])


def test_a_path_out_of_the_folder_is_refused(tmp_path):
    folder = write(tmp_path, {("a", "x"): 1, ("a", "y"): 1})
    text = (folder / "metadata.jsonl").read_text().replace("a-x-0.png", "../a-x-0.png")
    (folder / "metadata.jsonl").write_text(text)
    with pytest.raises(DataError, match="outside"):
        Examples.read(folder).pixels()


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_folder_says_what_is_missing(tmp_path, text):
    if text is not None:
        (tmp_path / "metadata.jsonl").write_text(text)
    with pytest.raises(ArtifactError, match=r"metadata\.jsonl"):
        Examples.read(tmp_path)


CAPTIONS = {
    "1.png": "A man rides a horse.",
    "2.png": "a woman at her desk",
    "3.png": "a horse",  # of nobody
    "4.png": "a man and a woman",  # of both
    "5.png": "a female nurse",  # of another split
    "6.png": "A boy with his dog",
}


@pytest.mark.parametrize("layout", ["metadata.jsonl", "captions.json"])
def test_captions_of_a_folder_give_value_and_neutral_prompt(tmp_path, layout):
    rows = [{"file_name": name, "text": text} for name, text in CAPTIONS.items()]
    if layout == "captions.json":  # COCO's, of which only the first caption of an image counts
        images = [{"id": n, "file_name": row["file_name"]} for n, row in enumerate(rows)]
        notes = [{"image_id": n, "caption": row["text"]} for n, row in enumerate(rows)]
        again = [{"image_id": 0, "caption": "a woman"}]
        text = json.dumps({"images": images, "annotations": notes + again})
    else:
        text = "\n".join(map(json.dumps, rows))
    (tmp_path / layout).write_text(text)
    table = Examples.read_pairs(tmp_path, without=["nurse"]).table
    assert dict(table.groupby("value").size()) == {"female": 1, "male": 1}
    neutral = {"1.png": "A person rides a horse.", "2.png": "a person at their desk",
               "6.png": "A child with their dog"}  # fmt: skip
    assert dict(zip(table["file_name"], table["prompt"], strict=True)).items() <= neutral.items()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("other.txt", "", "has no metadata.jsonl and 0 JSON files"),
        ("captions.json", "[]", "no file of captions like COCO's"),
        ("metadata.jsonl", '{"file_name": "1.png"}', "columns .'file_name'.; needed one of"),
        ("metadata.jsonl", '{"file_name": "1.png", "text": "a man"}', "images of two values"),
    ],
)
def test_a_folder_without_usable_captions_says_what_is_missing(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        Examples.read_pairs(tmp_path, without=[])


def test_images_are_scaled_and_cropped_to_the_size_of_the_model(tmp_path, pipeline):
    examples = Examples.read(write(tmp_path, {("a", "x"): 1, ("a", "y"): 1}))
    Image.new("RGB", (40, 20)).save(tmp_path / "a-x-0.png")
    assert [batch.shape for batch in examples.batches(pipeline)] == [(2, 3, 16, 16)]
