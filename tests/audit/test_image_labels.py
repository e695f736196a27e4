"""Folders of pictures that users bring: found, opened or not, looked at, and nothing lost."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probe.audit.image_labels import label_images
from probe.audit.labellers import ZeroShot
from probe.audit.readers.image_folders import find_images
from probe.errors import DataError
from probe.images import reading
from probe.images.quality.clip_score import ClipScorer
from probe.images.reading import open_image


class Brightness:
    """Sees how bright a picture is: an attribute whose truth we know."""

    def __init__(self):
        self.attributes = {"light": ["dark", "bright", "none"], "subject": ["nurse", "cook"]}

    def label(self, images, /):
        means = np.array([np.asarray(image).mean() / 255 for image in images])
        names = np.select([means < 0.1, means > 0.5], ["none", "bright"], "dark")
        return pd.DataFrame(
            {
                "light": names,
                "light_confidence": np.abs(means - 0.5) + 0.5,
                "subject": "nurse",
                "subject_confidence": 1.0,
            }
        )


def save(path, level=200, *, mode="RGB", size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level,) * 3).convert(mode).save(path, **options)
    return path


def describe(folder, rows):
    lines = [json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def seen(folder, **options):
    return label_images(find_images(folder), Brightness(), **options).count("light")


def test_sub_folders_are_subjects(tmp_path):
    for subject, levels in {"nurse": (200, 210, 60), "cook": (60, 70)}.items():
        for i, level in enumerate(levels):
            save(tmp_path / subject / f"{i}.png", level)
    (tmp_path / "cook" / "notes.txt").write_text("no picture")
    table = seen(tmp_path, batch_size=2)
    assert (table.subjects, table.values) == (["cook", "nurse"], ["dark", "bright"])
    np.testing.assert_array_equal(table.counts, [[2, 0], [1, 2]])


def test_metadata_says_subject_and_seed(tmp_path):
    save(tmp_path / "a" / "1.png", 200)
    save(tmp_path / "b.jpg", 60)
    rows = [
        {"file_name": "a/1.png", "subject": "nurse", "seed": 7},
        {"file_name": "b.jpg", "subject": "cook", "seed": 8, "extra": "x"},
    ]
    describe(tmp_path, rows)
    labels = label_images(find_images(tmp_path), Brightness())
    assert labels.subjects == ["nurse", "cook"]
    assert labels.seeds == ["7", "8"]
    assert list(labels.values) == ["light"]  # what it takes the subject for is no trait


def test_of_our_own_folders_the_neutral_pictures_are_taken(tmp_path):
    rows = []
    for kind in ("neutral", "female", "male"):
        save(tmp_path / f"{kind}.png")
        rows.append({"file_name": f"{kind}.png", "subject": "nurse", "kind": kind})
    describe(tmp_path, rows)
    found = find_images(tmp_path)
    assert [file.name for file in found.files] == ["neutral.png"]
    assert found.notes == ("left out: 2 images of other kinds than neutral",)


def test_pictures_that_cannot_be_opened_are_counted_by_name(tmp_path):
    save(tmp_path / "nurse" / "good.png")
    (tmp_path / "nurse" / "empty.png").touch()
    whole = save(tmp_path / "nurse" / "cut.png", size=(64, 64)).read_bytes()
    (tmp_path / "nurse" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "nurse" / "text.jpg").write_text("not a picture")
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "nurse" / "deep.png")
    table = seen(tmp_path)
    assert table.counts.sum() == 1
    assert table.missing["unreadable"].tolist() == [4]
    told = " ".join(table.notes)
    assert "cut.png cannot be read as an image" in told
    assert "deep.png has the mode I;16; needed 8 bits a channel" in told
    assert "unreadable: 1 more" in told
    for path in tmp_path.glob("nurse/[!e]*"):
        path.unlink()
    with pytest.raises(DataError, match="none of 1 images can be opened"):
        seen(tmp_path)


def test_of_an_animation_the_first_frame_is_seen(tmp_path):
    frames = [Image.new("RGB", (8, 8), (level,) * 3) for level in (250, 60, 60)]
    path = tmp_path / "nurse" / "moving.gif"
    path.parent.mkdir()
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert seen(tmp_path).counts.tolist() == [[0, 1]]


def test_a_large_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match="has 100 megapixels; needed at most 64: make it smaller"):
        open_image(path)
    Image.new("1", (100_000, 8)).save(path)  # 224 x 2,800,000 where its height is made 224
    with pytest.raises(DataError, match=r"100000 x 8 pixels; needed .* 20 times the shorter"):
        open_image(path)
    assert reading.MAX_PIXELS == 64_000_000


def test_a_value_below_the_wanted_confidence_is_ambiguous_and_a_none_undetected(tmp_path):
    for name, level in {"sure": 250, "unsure": 130, "black": 0}.items():
        save(tmp_path / "nurse" / f"{name}.png", level)
    table = seen(tmp_path, min_confidence=0.6)
    assert table.counts.tolist() == [[0, 1]]
    assert {reason: int(n.sum()) for reason, n in table.missing.items()} == {
        "undetected": 1,
        "ambiguous": 1,
    }
    with pytest.raises(ValueError, match="min_confidence is 2"):
        seen(tmp_path, min_confidence=2)


def test_links_and_names_that_lead_out_of_the_folder_are_refused(tmp_path):
    outside = save(tmp_path / "secret.png")
    folder = tmp_path / "pictures"
    save(folder / "nurse" / "a.png")
    (folder / "nurse" / "b.png").symlink_to(outside)
    with pytest.raises(DataError, match=r"b.png lies outside of .*; copy it into the folder"):
        find_images(folder)
    (folder / "nurse" / "b.png").unlink()
    (folder / "nurse" / "b.png").symlink_to("a.png")
    assert len(find_images(folder)) == 2
    (folder / "nurse" / "c.png").symlink_to("c.png")
    with pytest.raises(DataError, match=r"c.png lies outside"):
        find_images(folder)
    (folder / "nurse" / "c.png").unlink()
    (folder / "cook").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"cook.* lies outside"):
        find_images(folder)
    (folder / "cook").unlink()
    for name in ("../secret.png", str(outside)):
        describe(folder, [{"file_name": name, "subject": "nurse"}])
        with pytest.raises(DataError, match="lies outside"):
            find_images(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file_name": "a.png"}', "line 1, names no subject"),
        ('{"subject": "nurse"}', "line 1, names no file"),
        ("[" * 100_000, "line 1, is not JSON"),
        (r'{"file_name": "a\u0000.png", "subject": "nurse"}', "line 1, names a file with a NUL"),
    ],
)
def test_metadata_that_says_nothing_clear_is_refused(tmp_path, line, message):
    (tmp_path / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        find_images(tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        find_images(tmp_path / "nosuch")


def test_zero_shot_is_the_choice_of_clip_with_its_probability(clip_folder):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, size=(12, 16, 16, 3), dtype=np.uint8)
    images = [Image.fromarray(picture) for picture in pictures]
    scorer = ClipScorer.load(clip_folder)
    labels = ZeroShot(scorer, "gender", ["woman", "man", "x"]).label(images)
    prompts = ["a photo of a woman", "a photo of a man", "a photo of an x"]
    chosen = scorer.weigh(images, prompts).argmax(axis=1)
    assert labels["gender"].tolist() == [["woman", "man", "x"][best] for best in chosen]
    assert labels["gender_confidence"].between(1 / 3, 1).all()
    np.testing.assert_allclose(scorer.weigh(images, prompts).sum(axis=1), 1.0)
    with pytest.raises(ValueError, match="needed at least 2, and no two the same"):
        ZeroShot(scorer, "gender", ["woman", "woman"])
