"""Files, options and folders that are not what they say: each is refused in one line."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main
from probe.errors import ArtifactError, DataError
from probe.io.artifacts import read_table, read_tensors, write_table
from probe.run.files import LABELS

pytestmark = pytest.mark.timeout(30, func_only=True)

LABELLED = "subject,gender\nnurse,woman\nnurse,man\ncook,man\n"
HUGE = "999999999999"
SECRET = (1, 2, 3)
"""Colour of a picture that lies outside of every folder that is opened."""


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_line(result, code=1):
    """The message of a command that is refused, which is one short line without control codes."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.stderr
    assert "unexpected" not in result.stderr
    assert not any(letter < " " for letter in result.output.replace("\n", ""))
    line = result.stderr.splitlines()[-1]
    assert len(line) < 3000
    return line


def written(name, content):
    def prepare(folder):
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return prepare


def fifo(name):
    def prepare(folder):
        os.mkfifo(folder / name)
        return folder / name

    return prepare


def link(name, target):
    def prepare(folder):
        (folder / name).symlink_to(target)
        return folder / name

    return prepare


def parquet(**columns):
    def prepare(folder):
        pd.DataFrame(columns).to_parquet(folder / "labels.parquet")
        return folder / "labels.parquet"

    return prepare


def repeated(n_rows, **columns):
    """A short Parquet file that repeats its values so often."""

    def prepare(folder):
        indices = pa.array(np.zeros(n_rows, np.int8))
        same = {name: pa.DictionaryArray.from_arrays(indices, [of]) for name, of in columns.items()}
        pq.write_table(pa.table(same), folder / "v.parquet", compression="zstd")
        return folder / "v.parquet"

    return prepare


DEEP = "[" * 200_000
LABELS_OF = ("audit", "--labels", "FILE")
COUNTS_OF = ("audit", "--counts", "FILE")
VECTORS_OF = ("embed", "RUN", "--import", "FILE")
# fmt: off
FILES = {
    "a line of counts of 200 kB without a colon": (written("counts.txt", "nurse\n" + "a" *
     200_000), COUNTS_OF, "needed counts as in"),
    "a line of counts of 200 kB of spaces": (written("counts.txt", "nurse\nman" + " " * 200_000 +
     "x"), COUNTS_OF, "needed counts as in"),
    "a pipe for labels": (fifo("labels.csv"), LABELS_OF, "is no regular file"),
    "a pipe for vectors": (fifo("vectors.npy"), VECTORS_OF, "is no regular file"),
    "endless labels": (link("labels.csv", "/dev/zero"), LABELS_OF, "is no regular file"),
    "a pipe for a policy": (fifo("policy.toml"), ("check", "RUN", "--policy", "FILE"),
     "is no regular file"),
    "a pipe for figures": (fifo("figures.json"), ("check", "FILE", "--fail-above", "mad=1"),
     "is no regular file"),
    "a pipe for a lexicon": (fifo("lexicon.toml"), ("embed", "NEW", "--model", "tinytown",
     "--lexicon", "FILE"), "is no regular file"),
    "one line of 10 MB": (written("labels.csv", LABELLED + "nurse," + "a" * 10_000_000),
     LABELS_OF, "line 5, is longer than"),
    "a label of 10 MB": (parquet(subject=["nurse"] * 3, gender=["a" * 10_000_000, "b", "b"]),
     LABELS_OF, "characters; needed at most"),
    "a subject of 10 MB": (parquet(subject=["a" * 10_000_000, "b"], gender=["woman", "man"]),
     LABELS_OF, "characters; needed at most"),
    "deep JSON lines": (written("labels.jsonl", DEEP), LABELS_OF, "line 1, is not JSON"),
    "deep JSON": (written("labels.json", DEEP), LABELS_OF, "is not JSON"),
    "deep TOML": (written("policy.toml", "a = " + DEEP), ("check", "RUN", "--policy", "FILE"),
     "is not TOML"),
    "numbers that JSON has not": (written("figures.json",
     '{"mad": {"value": NaN, "low": 0, "high": 1e999}}'), ("check", "FILE", "--fail-above",
     "mad=1"), "it holds the number"),
    "a wrong codec": (written("figures.json", b'{"mad": "\xff"}'), ("check", "FILE",
     "--fail-above", "mad=1"), "figures.json"),
    "a bomb of zeros": (lambda folder: (np.savez_compressed(folder/"v.npz", v=np.zeros((300_000,
     300), "f4")) or folder/"v.npz"), VECTORS_OF, "unpacks to"),
    "a huge matrix in a short file": (written("v.npy",
     b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999"
     b", 99999999), }".ljust(127) + b"\n"), VECTORS_OF, "v.npy is truncated"),
    "millions of rows in a short file": (repeated(4_000_000, subject="nurse", gender="woman"),
     LABELS_OF, "v.parquet is not Parquet, or is damaged (it unpacks to"),
    "a long text that is repeated": (repeated(10_000, subject="a" * 1_000_000, gender="woman"),
     LABELS_OF, "unpacks to 9,539 MiB"),
    "a long list in a short file": (lambda folder: (pq.write_table(pa.table({"name": ["a"],
     "vector": [np.zeros(8_000_000, np.float32)]}), folder/"v.parquet") or folder/"v.parquet"),
     VECTORS_OF, "unpacks to"),
    "a huge tensor in a short file": (written("v.safetensors", (72).to_bytes(8, "little") +
     b'{"v":{"dtype":"F32","shape":[99999999999,99],"data_offsets":[0,4]}}'.ljust(72) + b"1234"),
     VECTORS_OF, "v.safetensors is truncated"),
    "a key of a JSON line twice": (written("labels.jsonl", '{"subject": "nurse", "gender": '
     '"woman", "gender": "man"}\n'), LABELS_OF, "line 1, is not JSON (it names 'gender' twice)"),
    "a key of JSON twice": (written("figures.json", '{"mad": {"value": 9, "value": 0}}'), ("check",
     "FILE", "--fail-above", "mad=1"), "it names 'value' twice"),
    "a column twice": (written("labels.csv", "subject,gender,gender\nnurse,woman,man\n"), LABELS_OF,
     "names the column 'gender' twice"),
    "a count in words": (written("counts.csv", "subject,value,count\nnurse,woman,twelve\n"),
     COUNTS_OF, "line 2, has the count 'twelve'"),
    "numbers of four bits": (written("v.safetensors", (64).to_bytes(8, "little") +
     b'{"v":{"dtype":"F4","shape":[2,4],"data_offsets":[0,4]}}'.ljust(64) + b"1234"),
     VECTORS_OF, "v.safetensors is truncated, damaged"),
}
# fmt: on


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_refused_in_one_line(finished_run, tmp_path, case):
    prepare, arguments, message = FILES[case]
    before = set(tmp_path.iterdir())
    places = {"RUN": finished_run, "NEW": tmp_path / "new", "FILE": prepare(tmp_path)}
    if arguments is VECTORS_OF:
        places["RUN"] = tmp_path / "new"
    result = call(*(places.get(argument, argument) for argument in arguments))
    line = one_line(result, 2 if "--policy" in arguments else 1)
    assert message in line
    assert places["FILE"].name in line
    assert not (tmp_path / "new").exists()
    assert set(tmp_path.iterdir()) - before == {places["FILE"]}


OPTIONS = {
    ("audit", "--labels", "LABELS", "--n-bootstrap", HUGE): (2, "is not in the range"),
    ("fit", "RUN", "--n-bootstrap", HUGE): (2, "is not in the range"),
    ("evaluate", "RUN", "--face-margin", "1e308"): (2, "is not in the range"),
    ("power", "--difference", "1e-300"): (2, "needs more than"),
    ("power", "--difference", "1e-9", "--spread", "1"): (2, "needs more than"),
    ("plan", "--model", "tinytown", "--resolution", "999999999"): (2, "is not in the range"),
    ("plan", "--model", "a" * 5000): (1, "unknown model"),
    ("embed", "NEW", "--model", "a" * 5000): (1, "unknown model"),
    ("inspect", "a" * 5000, "a nurse"): (1, "File name too long"),
    ("audit", "--labels", "LABELS", "--table", "NEW/dir/x.csv"): (2, "does not exist"),
    ("check", "RUN", "--fail-above", "mad=1", "--junit", "NEW/x.xml"): (2, "does not exist"),
    ("export", "RUN", "NEW/x.npy"): (2, "does not exist"),
    ("card", "RUN", "--out", "NEW/x.md"): (2, "does not exist"),
    ("export", "RUN", "/sys/x.npy"): (1, "cannot write /sys/x.npy"),
    ("audit", "--labels", "LABELS", "--table", "/sys/x.csv"): (1, "cannot write /sys/x.csv"),
    ("check", "RUN", "--fail-above", "mad=1", "--junit", "/sys/x.xml"): (1, "cannot write /sys/x"),
    ("prompts", "LABELS", "--column", "subject", "--out", "/sys/x.csv"): (1, "cannot write /sys/x"),
    ("card", "RUN", "--out", "/sys/x.md"): (1, "cannot write /sys/x.md"),
    ("publish", "RUN", "/sys/a/b"): (1, "/sys/a"),
}


@pytest.mark.parametrize("arguments", OPTIONS, ids=lambda each: " ".join(each)[:60])
def test_an_option_is_refused_in_one_line(finished_run, tmp_path, monkeypatch, arguments):
    if any("/sys" in each for each in arguments):
        if not Path("/sys").is_dir():
            pytest.skip("needs a folder in which nobody can write, /sys")

        def unlink(path, missing_ok=False):  # as a file system does that is mounted read-only
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        monkeypatch.setattr(Path, "unlink", unlink)
    (tmp_path / "labels.csv").write_text(LABELLED)
    places = {"RUN": finished_run, "LABELS": tmp_path / "labels.csv", "NEW": tmp_path / "new"}
    chosen = [
        str(places.get(each, each)).replace("NEW/", f"{places['NEW']}/") for each in arguments
    ]
    code, message = OPTIONS[arguments]
    assert message in one_line(call(*chosen), code)
    assert not places["NEW"].exists()


@pytest.mark.parametrize("arguments", ["power --difference 0.1", "--help"])
def test_a_full_disk_behind_the_output_is_one_line(arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", "import cli; cli.start()", *arguments.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_ctrl_c_before_anything_is_loaded_is_one_line():
    interrupt = (
        "import sys, cli\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "cli.start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", interrupt], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["\x1b[2J\x1b[31mnurse", "nurse\x9b31m", "nur\u202ese", "a\rb"])
def test_names_reach_the_terminal_without_control_codes(tmp_path, name):
    labels = tmp_path / "labels.jsonl"
    rows = [{"subject": name, "gender": gender} for gender in (name, "man", "man")]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    for option in ((), ("--json",)):
        result = call("audit", "--labels", labels, *option)
        assert result.exit_code == 0, result.output
        assert not set(result.output) & set("\x1b\x9b\u202e\r")
    assert json.loads(result.stdout)["subjects"][0]["subject"] == name


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run, and beside it a picture that is none of its own."""
    Image.new("RGB", (16, 16), SECRET).save(tmp_path / "secret.png")
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.mark.parametrize("name", ["../../../secret.png", "ABSOLUTE", "nurse/a\0b.png"])
def test_a_table_of_a_run_names_no_picture_outside(run, name):
    from figures.images import load_image
    from figures.report.pictures import image_pairs
    from figures.sources import RunFiles

    labels, made = read_table(run / LABELS, kind="labels")
    name = str(run.parent / "secret.png") if name == "ABSOLUTE" else name
    write_table(run / LABELS, labels.assign(file_name=name), made)
    assert load_image(run.parent, "secret.png").getpixel((0, 0)) == SECRET
    result = call("visualize", run, "--figure", "images")
    assert "outside" in one_line(result)
    with pytest.raises(Exception, match="outside"):
        image_pairs(RunFiles(run), n_pairs=1)


def test_a_table_of_a_run_that_is_huge_in_memory_is_not_read(run):
    whole = pq.read_schema(run / LABELS)
    texts = {field.name: "a" * 100_000 for field in whole}
    huge = pq.read_table(repeated(10_000, **texts)(run.parent))
    pq.write_table(huge.replace_schema_metadata(whole.metadata), run / LABELS)
    assert "labels.parquet cannot be read (it unpacks to" in one_line(
        call("visualize", run, "--figure", "images")
    )


@pytest.mark.parametrize("name", ["images/base/nurse", "images", "latent/new", "config.toml"])
@pytest.mark.parametrize("command", ["generate", "info", "embed"])
def test_a_run_with_a_link_that_leads_outside_is_not_opened(run, name, command):
    outside = run.parent / "outside"
    if (run / name).exists():
        (run / name).rename(outside)
    else:
        outside.mkdir()
    (run / name).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    line = one_line(call(command, run))
    assert f"{run / name} lies outside" in line
    assert sorted(outside.rglob("*")) == before


FLIPPED = {
    "moesd/gate.safetensors": ("inspect", "RUN", "a photo of a nurse"),
    "moesd/config.json": ("inspect", "RUN", "a photo of a nurse"),
    "latent/map.parquet": ("visualize", "RUN", "--figure", "map"),
    "evaluation/quality.json": ("info", "RUN"),
}


@pytest.mark.parametrize("name", FLIPPED)
@pytest.mark.parametrize("place", [0.1, 0.5])
def test_a_flipped_byte_in_a_file_of_a_run_is_named(run, name, place):
    content = bytearray((run / name).read_bytes())
    # Tensors stand at the end of a file. What a file was made from is compared, not checked.
    end = content.find(b'"provenance"') if name.endswith(".json") else len(content)
    content[int((1 - place if "safetensors" in name else place) * end)] ^= 1
    (run / name).write_bytes(content)
    line = one_line(call(*(str(run) if each == "RUN" else each for each in FLIPPED[name])))
    assert Path(name).name in line


@pytest.mark.parametrize(("dtype", "n_in_16_bits"), [("BF16", 1), ("F4", 4)])
def test_tensors_of_a_type_that_numpy_has_not_are_named(run, dtype, n_in_16_bits):
    path = run / "moesd/gate.safetensors"
    content = path.read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:length])
    for name in header.keys() - {"__metadata__"}:
        start, end = header[name]["data_offsets"]
        header[name] |= {"dtype": dtype, "shape": [(end - start) // 2 * n_in_16_bits]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[length:])
    # numpy has bfloat16 where another library has registered it
    with pytest.raises(ArtifactError, match=r"gate\.safetensors (cannot be read|is damaged)"):
        read_tensors(path, kind="gate-weights")


def test_an_up_to_date_run_is_checked_without_writing(run, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a lock was taken")

    monkeypatch.setattr("probe.run.experiment.locked", refuse)
    monkeypatch.setattr("probe.io.files.atomic", refuse)
    assert call("check", run, "--fail-above", "mad=1").exit_code == 0


def test_a_pipe_for_a_picture_is_refused(tmp_path):
    from probe.images.reading import open_image

    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="cannot be read as an image"):
        open_image(tmp_path / "a.png")


@pytest.mark.slow
def test_large_pictures_are_opened_few_at_a_time(tmp_path):
    from probe.audit.image_labels import label_images
    from probe.audit.readers.image_folders import find_images

    (tmp_path / "nurse").mkdir()
    for seed in range(12):
        Image.new("L", (4000, 4000), seed).save(tmp_path / "nurse" / f"{seed}.png")

    class Counting:
        attributes = {"gender": ["woman", "man"]}  # noqa: RUF012
        most = 0

        def label(self, images):
            self.most = max(self.most, sum(image.width * image.height for image in images))
            return pd.DataFrame({"gender": ["man"] * len(images), "gender_confidence": 1.0})

    label_images(find_images(tmp_path), classifier := Counting())
    assert classifier.most <= 3 * 64_000_000


def test_a_header_of_a_drawn_table_is_no_formula(tmp_path):
    from matplotlib.figure import Figure

    from figures.drawing import write_figure
    from probe.io.artifacts import Provenance

    made = Provenance("figure", "m", "r", None, "x")
    data = pd.DataFrame({"=1+1": ["@a"]})
    write_figure(tmp_path / "a", Figure(), data, made, ("svg",), caption="")
    assert (tmp_path / "a.csv").read_text() == "'=1+1\n'@a\n"
