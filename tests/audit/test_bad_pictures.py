"""Pictures and labels that are not as they should be: each is named, and none is lost."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
HEAD = "file_name,subject,colour\n"
ROWS = "a.png,nurse,red\nb.png,nurse,blue\n"


def picture(folder, name, color, size=(40, 40)):
    Image.new("RGB", size, color).save(folder / name)


@pytest.fixture
def audit(tmp_path, save_onnx):
    """A folder of two pictures with faces, and a function that audits it."""
    pytest.importorskip("onnxruntime", reason="needs the extra faces, `pip install '.[faces]'`")
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture(folder, "a.png", (200, 30, 10))
    picture(folder, "b.png", (10, 30, 200))
    model = save_onnx(tmp_path / "colours.onnx", face_margin=0.0)

    def run(*, labels=HEAD + ROWS, boxes=()):
        (folder / "labels.csv").write_text(labels)
        lines = ["a.png,5,5,9,9", "b.png,5,5,9,9", *boxes]
        table = tmp_path / "boxes.csv"
        table.write_text("\n".join(["file_name,left,top,width,height", *lines]) + "\n")
        words = ["audit", "--images", folder, "--classifier", model, "--faces", table, "--json"]
        return CliRunner().invoke(main, [str(word) for word in words])

    run.folder = folder
    return run


def half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


CASES = {
    "a label without a picture": ((), "unreadable", "c.png; make it again, or drop it"),
    "EPS by another name": (
        lambda path: path.write_bytes(EPS),
        "unreadable",
        "c.png cannot be read as an image (cannot identify image file",
    ),
    "a corrupt JPEG": (
        lambda path: [Image.effect_noise((90, 90), 90).save(path, "JPEG"), half(path)],
        "unreadable",
        "c.png cannot be read as an image (image file is truncated",
    ),
    "100 megapixels": (
        lambda path: Image.new("1", (10_000, 10_000)).save(path),
        "unreadable",
        "c.png has 100 megapixels; needed at most 64: make it smaller",
    ),
    "no face": ("c.png,,,,", "undetected", "a detector may miss one group"),
    "nine faces": ([f"c.png,{i},0,2,2" for i in range(9)], "ambiguous", "in the largest face"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_picture_that_cannot_be_labelled_is_counted_by_name(audit, case):
    make, reason, told = CASES[case]
    if callable(make):
        make(audit.folder / "c.png")
    elif make:
        picture(audit.folder, "c.png", (1, 2, 3))
    boxes = [make] if isinstance(make, str) else make if isinstance(make, list) else []
    result = audit(labels=HEAD + ROWS + "c.png,nurse,red\n", boxes=boxes)
    found = json.loads(result.stdout)
    assert (found["n_images"], found["missing"]) == (2, {"total": 1, reason: 1})
    assert told in " ".join(found["notes"])


def test_pictures_that_no_row_names_are_told(audit):
    picture(audit.folder, "other.png", (1, 2, 3))
    found = json.loads(audit().stdout)
    assert "left out: 1 images that labels.csv does not name (other.png)" in found["notes"]
    assert found["n_images"] == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (HEAD + ROWS + "./a.png,nurse,blue\n", "line 4, names a.png again, with other cells"),
        (HEAD + ROWS + "a.png,cook,red\n", "line 4, names a.png again, with other cells"),
        ("file_name,subject\n" + "c.png,nurse\n", "none of 1 images can be opened"),
    ],
)
def test_labels_that_contradict_or_name_nothing_are_refused_in_one_line(audit, labels, message):
    result = audit(labels=labels)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_image_named_twice_alike_counts_once(audit):
    found = json.loads(audit(labels=HEAD + ROWS + "a.png,nurse,red\n").stdout)
    assert found["n_images"] == 2
    assert "copies of others" in " ".join(found["notes"])
