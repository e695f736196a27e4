"""Pictures and labels that are not as they should be: each is named, and none is lost."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main

HEAD, ROWS = "file_name,subject,colour\n", "a.png,nurse,red\nb.png,nurse,blue\na.png,nurse,red\n"


@pytest.fixture
def audit(tmp_path, save_onnx):
    """A function that audits a folder of two labelled pictures, and of one that no row names."""
    pytest.importorskip("onnxruntime", reason="needs the extra faces, `pip install '.[faces]'`")
    folder, table = tmp_path / "pictures", tmp_path / "boxes.csv"
    (folder / "sub").mkdir(parents=True)
    for name, color in {"a": (200, 30, 10), "b": (10, 30, 200), "sub/other": (0, 0, 0)}.items():
        Image.new("RGB", (40, 40), color).save(folder / f"{name}.png")
    model = save_onnx(tmp_path / "colours.onnx", face_margin=0.0)

    def run(labels, make=None, boxes=()):
        if make is not None:
            make(folder / "c.png")
        (folder / "labels.csv").write_text(labels)
        lines = ["file_name,left,top,width,height", "a.png,5,5,9,9", "b.png,5,5,9,9", *boxes]
        table.write_text("\n".join(lines))
        words = ["audit", "--images", folder, "--classifier", model, "--faces", table, "--json"]
        return CliRunner().invoke(main, [str(word) for word in words])

    return run


def save_plain(path):
    Image.new("RGB", (40, 40)).save(path)


def save_half_a_jpeg(path):
    Image.effect_noise((90, 90), 90).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:3000])


def save_100_megapixels(path):
    Image.new("1", (10_000, 10_000)).save(path)


@pytest.mark.parametrize(
    ("make", "boxes", "reason", "told"),
    [
        (None, [], "unreadable", "c.png; make it again, or drop it"),
        (save_half_a_jpeg, [], "unreadable", "c.png cannot be read as an image (image file is"),
        (save_100_megapixels, [], "unreadable", "c.png has 100 megapixels; needed at most 64"),
        (save_plain, ["c.png,,,,"], "undetected", "a detector may miss one group"),
        (save_plain, [f"c.png,{i},0,2,2" for i in range(9)], "ambiguous", "in the largest face"),
    ],
    ids=["no picture", "corrupt JPEG", "100 megapixels", "no face", "nine faces"],
)
def test_a_picture_that_cannot_be_labelled_is_counted_by_name(audit, make, boxes, reason, told):
    found = json.loads(audit(HEAD + ROWS + "c.png,nurse,red\n", make, boxes).stdout)
    notes = " ".join(found["notes"])
    assert (found["n_images"], found["missing"]) == (2, {"total": 1, reason: 1})
    assert told in notes
    assert "left out: 1 image that labels.csv does not name (sub/other.png)" in notes
    assert "left out as copies of others of their subject: 1 image" in notes


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (HEAD + ROWS + "./a.png,nurse,blue\n", "line 5, names a.png again, with other cells"),
        (HEAD + ROWS + "a.png,cook,red\n", "line 5, names a.png again, with other cells"),
        ("file_name,subject\n" + "c.png,nurse\n", "none of 1 images can be opened"),
    ],
)
def test_labels_that_contradict_or_name_nothing_are_refused_in_one_line(audit, labels, message):
    result = audit(labels)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
