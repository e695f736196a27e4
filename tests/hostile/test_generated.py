"""Generated files for every reader: only errors of ours, in bounded time and memory.

Real files are flipped, cut, repeated, swapped and spliced at random, from a seed. The environment
variable ``PROBE_HOSTILE_CASES`` sets a third of their number.
"""

import json
import os
import random
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from probe.audit.readers.counts import read_counts
from probe.audit.readers.image_folders import find_images
from probe.audit.readers.labels import read_labels
from probe.audit.readers.shares import read_reference
from probe.audit.release_gate import Bound, check_bounds, read_figures, read_policy
from probe.errors import ProbeError
from probe.images.reading import open_image
from probe.io.artifacts import read_json, read_provenance, read_table, read_tensors
from probe.moesd.model import MoESD
from probe.run.experiment import Experiment
from probe.text.captions.files import open_captions
from probe.text.concepts import Concept
from probe.text.encoder import TextEncoder
from probe.text.lexicon import DEFAULT, Lexicon
from probe.text.prompt_files import read_prompts
from probe.text.vector_files import read_vectors

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

N_CASES = int(os.environ.get("PROBE_HOSTILE_CASES", "600"))
SECONDS = 10
GIGABYTE = 2**20  # kilobytes, as `resource` counts

PIECES = (
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\r\n", b"\n\n", b",", b"\t", b'"', b"'",
    b"=1+1", b"../../..", b"/etc/passwd", b"NaN", b"1e999", b"-1", b"9" * 400, b"null", b"[]",
    b"{}", b"[" * 3000, b"{" * 3000, b"a." * 3000, b"a" * 70_000, b"<script>", b"true", b"\x9b",
)  # fmt: skip


def damaged(content: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Change a file in one to three places."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content) + 1)
        upto = min(len(content), at + rng.randint(1, 64))
        kind = rng.randrange(8)
        if kind == 0 and at < len(content):
            content = (
                content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
            )
        elif kind == 1:
            content = content[:at]
        elif kind == 2:
            content = content[:at] + content[at:upto] * rng.randint(2, 50) + content[upto:]
        elif kind == 3:
            content = content[:at] + content[upto:]
        elif kind == 4:
            content = content[:at] + rng.choice(PIECES) + content[upto:]
        elif kind == 5:
            content = content[:at] + rng.randbytes(rng.randint(1, 16)) + content[upto:]
        elif kind == 6:
            other = rng.choice(others)
            content = content[:at] + other[rng.randrange(len(other) + 1) :]
        else:
            content = rng.choice(others)
    return content


def vectors(folder: Path) -> list[Path]:
    from probe.text.vector_files import write_vectors
    from probe.text.vectors import NamedVectors

    matrix = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    paths = [folder / f"v.{suffix}" for suffix in ("npy", "npz", "safetensors", "parquet", "jsonl")]
    for path in paths:
        write_vectors(NamedVectors(tuple("abcdef"), matrix, "v"), path)
    rows = [f"{name} {' '.join(map(str, row))}" for name, row in zip("abcdef", matrix, strict=True)]
    (folder / "v.txt").write_text("\n".join(rows) + "\n")
    (folder / "w.vec").write_text("\n".join(["6 4", *rows]) + "\n")
    binary = b"".join(
        f"{n} ".encode() + row.tobytes() for n, row in zip("abcdef", matrix, strict=True)
    )
    (folder / "v.bin").write_bytes(b"6 4\n" + binary)
    return [*paths, folder / "v.txt", folder / "w.vec", folder / "v.bin"]


def tables(folder: Path) -> list[Path]:
    rows = [
        {"file_name": f"{i}.png", "subject": s, "gender": g, "seed": i}
        for i, (s, g) in enumerate([("nurse", "woman"), ("nurse", "man"), ("cook", "man")] * 4)
    ]
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "l.csv", index=False)
    frame.to_csv(folder / "l.tsv", index=False, sep="\t")
    frame.to_parquet(folder / "l.parquet")
    frame.to_json(folder / "l.json", orient="records")
    frame.to_json(folder / "l.jsonl", orient="records", lines=True)
    return [folder / f"l.{suffix}" for suffix in ("csv", "tsv", "parquet", "json", "jsonl")]


def pictures(folder: Path) -> list[Path]:
    image = Image.effect_noise((24, 24), 60).convert("RGB")
    formats = ("png", "jpeg", "webp", "bmp", "gif", "tiff")
    for suffix in formats:
        image.save(folder / f"p.{suffix}")
    return [folder / f"p.{suffix}" for suffix in formats]


def texts(folder: Path) -> list[Path]:
    found = {
        "counts.txt": "nurse\nman: 166, woman: 84, except: 0\ncook\nman: 1, woman: 9\n",
        "counts.csv": "subject,woman,man\nnurse,84,166\ncook,9,1\n",
        "prompts.txt": "a photo of a nurse\na photo of a cook\n",
        "policy.toml": "[fail_above]\nmad = 0.2\n[fail_above.test]\nmad = 0.3\n",
        "figures.json": json.dumps(
            {"source": "x", "mad": {"value": 0.1, "low": 0.0, "high": 0.2, "n": 3, "unit": "x"},
             "missing": {"total": 1}, "bounds": {"mad": {"low": 0.0, "high": 0.4}}}
        ),
        "concept.toml": Path("probe/data/concepts/age.toml").read_text(),
        "lexicon.toml": DEFAULT.read_text(),
    }  # fmt: skip
    for name, text in found.items():
        (folder / name).write_text(text)
    return [folder / name for name in found]


def check(path: Path) -> None:
    check_bounds(read_figures(path), [Bound.parse("mad=0.5", "fail_above")])


def folder_of(path: Path) -> None:
    shutil.copyfile(path, path.parent / f"labels{path.suffix}")
    find_images(path.parent)


READERS = {
    "v": (read_vectors,),
    "w": (read_vectors,),
    "l": (read_labels, folder_of, lambda path: read_reference(path, "woman")),
    "p": (open_image,),
    "counts": (read_counts,),
    "prompts": (read_prompts,),
    "policy": (read_policy,),
    "figures": (check,),
    "concept": (Concept.load,),
    "lexicon": (Lexicon.load,),
}


class TooSlow(BaseException):
    """A reader took longer than `SECONDS`."""


def limited(read, path, case):
    """Call a reader: it returns, or raises an error of ours, in time."""

    def stop(*of):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        read(path)
    except ProbeError:
        pass
    except Exception as error:
        raise AssertionError(f"case {case}, {path.name}: {error!r}") from error
    except TooSlow:
        raise AssertionError(f"case {case}, {path.name}: slower than {SECONDS} s") from None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_files_of_users_that_are_damaged_raise_only_errors_of_ours(tmp_path):
    whole, work = tmp_path / "whole", tmp_path / "work"
    whole.mkdir()
    paths = [*vectors(whole), *tables(whole), *pictures(whole), *texts(whole)]
    contents = {path.name: path.read_bytes() for path in paths}
    before = peak()
    for case in range(N_CASES // 2):
        rng = random.Random(case)
        work.mkdir()
        name = rng.choice(list(contents))
        changed = damaged(contents[name], rng, list(contents.values()))
        if rng.random() < 0.1:  # another format's name
            name = f"{name.split('.')[0]}.{rng.choice([*contents]).split('.')[1]}"
        (work / name).write_bytes(changed)
        for read in READERS[name.split(".")[0]]:
            limited(read, work / name, case)
        shutil.rmtree(work)
    assert peak() - before < GIGABYTE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole"]


ARTIFACTS = {".json": read_json, ".parquet": read_table, ".safetensors": read_tensors}


def test_runs_and_corrections_that_are_damaged_raise_only_errors_of_ours(
    finished_run, tmp_path, small_lexicon
):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    encoder = TextEncoder.load(Experiment.open(run).config.model)
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock"]
    files = [path for path in files if path.suffix != ".png" or path.name.endswith("00000.png")]
    contents = {path: path.read_bytes() for path in files}
    kinds = {path: read_provenance(path).kind for path in files if path.suffix in ARTIFACTS
             and "moesd/examples" not in path.as_posix()}  # fmt: skip
    before = peak()

    def opened(path: Path) -> None:
        experiment = Experiment.open(run)
        experiment.info()
        if path.parent.name == "moesd":
            MoESD.load(run / "moesd", encoder)
        elif "evaluation" in path.parts:
            experiment.figures()

    for case in range(N_CASES // 2):
        rng = random.Random(case)
        path = rng.choice(files)
        path.write_bytes(damaged(contents[path], rng, list(contents.values())))
        if path in kinds:
            limited(lambda path: ARTIFACTS[path.suffix](path, kind=kinds[path]), path, case)
        limited(opened, path, case)
        path.write_bytes(contents[path])
    assert peak() - before < GIGABYTE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


many = settings(max_examples=N_CASES, deadline=None)
NUMBERS = st.integers(-2, 3) | st.integers(-(2**70), 2**70) | st.floats() | st.none()
SIZES = st.lists(NUMBERS, max_size=3)
TENSORS = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "F4"]), "shape": SIZES, "data_offsets": SIZES}
)
FLAT = [st.text(max_size=9), st.binary(max_size=9), st.floats(), st.integers(-9, 9), st.none()]
FLAT += [st.booleans(), st.dates(), st.times(), st.decimals(-9, 9, places=2)]
VALUES = [*FLAT, *(st.lists(of, max_size=3) for of in FLAT)]
VALUES += [st.fixed_dictionaries({"a": of}) for of in VALUES]


@many
@given(st.dictionaries(st.sampled_from(["v", "w", "__metadata__"]), TENSORS), st.integers(0, 70))
def test_headers_of_safetensors_that_say_anything_raise_only_errors_of_ours(
    tmp_path_factory, header, n
):
    text = json.dumps(header).encode()
    path = tmp_path_factory.getbasetemp() / "made.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(n))
    limited(read_vectors, path, header)


@many
@given(st.data())
def test_parquet_of_any_types_raises_only_errors_of_ours(tmp_path_factory, data):
    n, table = data.draw(st.integers(0, 3)), {}
    for name in data.draw(st.sets(st.sampled_from(["subject", "gender", "vector", "text", "a.b"]))):
        values = data.draw(st.sampled_from(VALUES)) | st.none()
        table[name] = pa.array(data.draw(st.lists(values, min_size=n, max_size=n)))
    path = tmp_path_factory.getbasetemp() / "made.parquet"
    pq.write_table(pa.table(table), path)
    captions = lambda path: list(open_captions(path).captions)  # noqa: E731
    for read in (read_vectors, read_labels, read_prompts, captions):
        limited(read, path, table)
