"""Faces in photographs: which one is looked at, and what is said where there is none or several."""

import json
from itertools import count

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from cli.main import main
from probe.audit.audit import AuditSettings, audit_source
from probe.audit.image_labels import label_images
from probe.audit.readers.image_folders import find_images
from probe.errors import DataError, ModelError
from probe.images.attributes import AttributeClassifier
from probe.images.faces.classifier import FaceClassifier
from probe.images.faces.detectors import Boxes, detector_line, open_detector
from probe.images.faces.face import Face, crop_face
from probe.images.reading import open_image

HEAD = "file_name,left,top,width,height"


class Brightness:
    """Sees how bright a picture is: an attribute whose truth we know."""

    attributes = {"light": ["dark", "bright"]}  # noqa: RUF012

    def label(self, images, /):
        bright = np.array([np.asarray(image).mean() > 128 for image in images])
        return pd.DataFrame({"light": np.where(bright, "bright", "dark"), "light_confidence": 1.0})


class Whole:
    """Takes each picture for one face; those whose files are named for none, for none."""

    name = "whole pictures"

    def find(self, pictures, /, *, names):
        return [
            [] if "none" in name else [Face(0, 0, *picture.size)]
            for picture, name in zip(pictures, names, strict=True)
        ]


def boxes(tmp_path, *rows, head=HEAD, name="boxes.csv"):
    path = tmp_path / name
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


NUMBERS = count()


def portrait(path, *, face=230, around=10, at=(60, 20, 20, 20), size=(100, 60), **options):
    """A bright or a dark face in front of something else; no two files have the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", size, (around,) * 3)
    left, top, width, height = at
    picture.paste((face,) * 3, (left, top, left + width, top + height))
    picture.putpixel((0, 0), (next(NUMBERS) % 256, around, around))
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("face", "size", "corner"),
    [
        (Face(50, 40, 20, 16), (30, 30), (45, 33)),  # 20 and a quarter of it on each side
        (Face(0, 0, 20, 20), (30, 30), (0, 0)),  # moved into the image
        (Face(190, 85, 20, 20), (30, 30), (170, 70)),
        (Face(0, 0, 200, 100), (200, 100), (0, 0)),  # cut where it is larger
        (Face(10.2, 10.2, 0.1, 0.1), (1, 1), (10, 10)),
    ],
)
def test_the_largest_face_is_cropped_as_a_square_within_the_image(face, size, corner):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    seen = np.asarray(
        crop_face(Image.fromarray(pixels), [Face(0, 0, 0.05, 0.05), face], margin=0.25)
    )
    left, top = corner
    np.testing.assert_array_equal(seen, pixels[top : top + size[1], left : left + size[0]])


def test_no_face_is_undetected_and_a_second_one_of_half_the_area_is_ambiguous():
    picture = Image.new("RGB", (100, 100))
    first = Face(0, 0, 20, 20)
    assert crop_face(picture, [], margin=0.25) == "undetected"
    assert crop_face(picture, [Face(50, 50, 10, 20), first], margin=0.25) == "ambiguous"
    assert crop_face(picture, [Face(50, 50, 10, 19.9), first], margin=0.25).size == (30, 30)


def test_faces_and_not_what_is_around_them_are_looked_at_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "pictures"
    rows = []
    for i, face in enumerate((230, 230, 10)):
        portrait(folder / "nurse" / f"{i}.png", face=face, around=240 - face)
        rows.append(f"nurse/{i}.png,60,20,20,20")
    portrait(folder / "nurse" / "nobody.png")
    portrait(folder / "cook" / "two.png")
    portrait(folder / "cook" / "one.png", face=20)
    (folder / "cook" / "broken.png").write_text("no picture")
    rows += ["nurse/nobody.png,,,,", "cook\\two.png,0,0,9,10", "cook/two.png,50,0,10,10"]
    rows += ["cook/one.png,60,20,20,20"]
    table = label_images(
        find_images(folder),
        Brightness(),
        faces=Boxes(boxes(tmp_path, *rows)),
        face_margin=0.0,
        batch_size=2,
    )
    counted = table.count("light")
    assert counted.subjects == ["cook", "nurse"]
    np.testing.assert_array_equal(counted.counts, [[1, 0], [1, 2]])
    assert {why: n.tolist() for why, n in counted.missing.items()} == {
        "undetected": [0, 1],
        "ambiguous": [1, 0],
        "unreadable": [1, 0],
    }
    found = audit_source(table, AuditSettings(n_bootstrap=50)).found
    assert found["missing"] == {"total": 3, "undetected": 1, "ambiguous": 1, "unreadable": 1}
    # cook: 1 dark and 2 unseen; nurse: 1 dark, 2 bright and 1 unseen
    assert found["bounds"]["mad"]["low"] == 0.0
    assert found["bounds"]["mad"]["high"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert any("boxes of boxes.csv, with a margin of 0" in note for note in found["notes"])


def test_a_photograph_is_seen_upright_and_boxes_are_of_the_upright_one(tmp_path):
    upright = Image.open(portrait(tmp_path / "a" / "upright.png", face=230))
    tag = 0x0112
    for orientation, stored in ((3, upright.rotate(180)), (6, upright.rotate(90, expand=True))):
        exif = Image.Exif()
        exif[tag] = orientation
        stored.save(tmp_path / "a" / f"{orientation}.png", exif=exif)
        seen = open_image(tmp_path / "a" / f"{orientation}.png")
        np.testing.assert_array_equal(np.asarray(seen), np.asarray(upright))
    rows = [f"a/{name}.png,60,20,20,20" for name in ("upright", 3, 6)]
    found = label_images(
        find_images(tmp_path), Brightness(), faces=Boxes(boxes(tmp_path, *rows)), face_margin=0
    )
    assert found.count("light").counts.tolist() == [[0, 3]]


def test_damaged_exif_leaves_a_picture_as_it_is(tmp_path):
    path = portrait(tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff broken")
    assert open_image(path).size == (100, 60)


@pytest.mark.parametrize(
    ("head", "row", "says"),
    [
        ("file_name,left,top,width", "a.png,1,1,1", "but not height"),
        (HEAD, "b.png,1,1,1,1", r"no row for 0/a\.png"),
        (HEAD, "0/a.png,1,1,one,1", "line 2, holds 'one'"),
        (HEAD, "0/a.png,1,1,nan,1", "line 2, holds 'nan'"),
        (HEAD, "0/a.png,1,1,0,1", "line 2: the box has no size"),
        (HEAD, "0/a.png,1,,5,1", "line 2, holds"),
        (HEAD, ",1,1,1,1", "line 2, names no file"),
        (HEAD, "0/a.png,100,0,5,5", "lies outside of the image, which has 100 x 60 pixels"),
        (HEAD, "0/a.png,-9,0,9,5", "lies outside of the image"),
    ],
)
def test_wrong_boxes_are_told_in_one_line(tmp_path, head, row, says):
    portrait(tmp_path / "p" / "0" / "a.png")
    path = boxes(tmp_path, row, head=head)
    with pytest.raises(DataError, match=says) as error:
        label_images(find_images(tmp_path / "p"), Brightness(), faces=Boxes(path))
    assert "\n" not in str(error.value)


def test_a_classifier_that_is_shown_the_whole_picture_as_a_face_sees_what_it_saw(
    model_folder, tmp_path
):
    classifier = AttributeClassifier.load(model_folder / "classifier")
    pixels = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    files = [tmp_path / name for name in ("a.png", "b.png", "none.png", "d.png")]
    for file, of in zip(files, pixels, strict=True):
        Image.fromarray(of).save(file)
    plain = classifier.label(files)
    told = []
    seen = FaceClassifier(classifier, Whole(), margin=0.25).label(
        files, batch_size=3, progress=lambda *done: told.append(done)
    )
    assert list(seen) == list(plain)
    assert told == [(3, 4), (4, 4)]
    faces = [0, 1, 3]
    pd.testing.assert_frame_equal(
        seen.iloc[faces].convert_dtypes(), plain.iloc[faces].convert_dtypes()
    )
    assert seen["gender"][2] == "undetected"
    assert np.isnan(seen["gender_confidence"][2])
    assert seen["subject"][2] == plain["subject"][2]  # a thing has no face


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    with pytest.raises(ModelError, match=r"pip install 'moesd-probe\[faces\]'") as error:
        open_detector("mediapipe")
    assert "\n" not in str(error.value)


def test_only_detectors_that_are_known_are_opened(tmp_path):
    with pytest.raises(ValueError, match=r"faces is 'yunet\.onnx'; needed 'mediapipe'"):
        open_detector("yunet.onnx")
    with pytest.raises(DataError, match="there is no file"):
        open_detector(str(tmp_path / "a.tflite"))


def test_the_shipped_weights_are_those_of_the_notice():
    from hashlib import sha256

    from probe.images.faces.mediapipe_detector import shipped_weights

    path = shipped_weights()
    notice = (path.parent / "NOTICE.md").read_text()
    assert sha256(path.read_bytes()).hexdigest() in notice
    assert path.name in notice
    assert detector_line("mediapipe") == detector_line(str(path))


def test_the_command_looks_at_faces(model_folder, tmp_path):
    portrait(tmp_path / "p" / "nurse" / "0.png")
    portrait(tmp_path / "p" / "nurse" / "1.png")
    path = boxes(tmp_path, "nurse/0.png,60,20,20,20", "nurse/1.png,,,,")
    words = ["audit", "--classifier", str(model_folder), "--images", str(tmp_path / "p")]

    def call(*more):
        return CliRunner().invoke(main, [*words, *more])

    result = call("--faces", str(path), "--face-margin", "0.5", "--json")
    found = json.loads(result.stdout)
    assert (found["n_images"], found["missing"]["undetected"]) == (1, 1)
    assert "with a margin of 0.5" in found["notes"][0]
    assert "--face-margin is for --faces" in call("--face-margin", "0.5").stderr
    other = CliRunner().invoke(main, ["audit", "--labels", str(path), "--faces", "mediapipe"])
    assert "--faces needs --images" in other.stderr


@pytest.mark.real
def test_mediapipe_finds_the_face_of_an_astronaut_and_none_of_a_cat(tmp_path):
    pytest.importorskip("mediapipe", reason="needs the extra faces, `pip install '.[faces]'`")
    data = pytest.importorskip("skimage.data", reason="needs the photographs of scikit-image")
    astronaut = Image.fromarray(data.astronaut())  # NASA, public domain
    two = Image.new("RGB", (1024, 512))
    two.paste(astronaut, (0, 0))
    two.paste(ImageOps.mirror(astronaut), (512, 0))
    cat = Image.fromarray(data.chelsea())
    detector = open_detector("mediapipe")
    pictures = [astronaut, two, cat]
    found = detector.find(pictures, names=["a", "b", "c"])
    (face,) = found[0]
    np.testing.assert_allclose((face.left, face.top, face.width), (175, 75, 100), atol=15)
    assert face.score > 0.8
    seen = [crop_face(*of, margin=0.25) for of in zip(pictures, found, strict=True)]
    assert seen[1:] == ["ambiguous", "undetected"]
    assert 130 < seen[0].width == seen[0].height < 170
    again = detector.find(pictures, names=["a", "b", "c"])
    assert again == found
