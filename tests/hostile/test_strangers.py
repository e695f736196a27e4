"""A correction of a stranger is compared with its files and encoder, pictures start no process."""

import resource
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, features

from cli.main import main
from probe.audit.image_labels import label_images
from probe.audit.readers.image_folders import find_images
from probe.io.artifacts import read_json, read_tensors, write_json, write_tensors

pytestmark = pytest.mark.timeout(30, func_only=True)

UNET = {"sites": {"mid": 8}, "width": 4, "n_experts": 2, "style": "adapter"}
GIGABYTE = 2**20  # kilobytes, as `resource` counts


def of_config(unet=None, **changed):
    def change(folder):
        config, made = read_json(folder / "config.json", kind="moesd")
        if unet is not None:
            arrays, of_file = read_tensors(folder / "experts.safetensors", kind="experts")
            other = replace(of_file, kind="unet-experts")
            write_tensors(folder / "unet_experts.safetensors", arrays, other)
            changed["unet"] = {**UNET, **unet}
        write_json(folder / "config.json", {**config, **changed}, made)

    return change


def of_tensors(name, kind, reshape):
    def change(folder):
        arrays, made = read_tensors(folder / f"{name}.safetensors", kind=kind)
        changed = {key: reshape(array) for key, array in arrays.items()}
        write_tensors(folder / f"{name}.safetensors", changed, made)

    return change


def one_more(array):
    return np.concatenate([array, array[..., :1]], axis=-1) if array.ndim else array


CHANGES = {
    "experts of 10^12 rows": of_config(width=10**12),
    "states of 10^12 features": of_config(n_features=10**12),
    "experts in a U-Net of 10^12 rows": of_config(unet={"width": 10**12}),
    "layers of 10^12 channels": of_config(unet={"sites": {"mid": 10**12}}),
    "a hundred thousand layers": of_config(unet={"sites": {str(n): 8 for n in range(10**5)}}),
    "a hundred thousand values": of_config(
        attributes=[{"name": "a", "values": [[str(n), str(n)] for n in range(10**5)]}]
    ),
    "a negative width": of_config(width=-1),
    "no number": of_config(width="wide"),
    "a long token": of_tensors("token", "token", one_more),
    "a gate of other features": of_tensors("gate", "gate-weights", one_more),
    "experts of another shape": of_tensors("experts", "experts", one_more),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_correction_of_other_sizes_is_refused_before_memory_is_taken(
    finished_run, tmp_path, case
):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    CHANGES[case](run / "moesd")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = CliRunner().invoke(main, ["inspect", str(run), "a photo of a nurse"])
    assert result.exit_code == 1, result.output
    assert "train it again" in result.stderr
    assert len(result.stderr) < 3000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIGABYTE


def avif():
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    content = BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(content, "AVIF")
    return content.getvalue()[:-200]


def dds():
    """A header with a pixel format that Pillow does not know."""
    flags, size, pixel_format = (0x1007, 8, 8, 32, 0, 0), bytes(44), (32, 0x80000000)
    words = b"".join(n.to_bytes(4, "little") for n in (124, *flags))
    formats = b"".join(n.to_bytes(4, "little") for n in pixel_format)
    return b"DDS " + words + size + formats + bytes(200)


PICTURES = {
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "AVIF": avif,
    "DDS": dds,
}
FAILS = {"AVIF": (RuntimeError, SyntaxError), "DDS": NotImplementedError}
"""What Pillow raises; for EPS it starts Ghostscript."""


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_picture_of_a_format_that_is_not_opened_counts_as_unreadable(tmp_path, kind, suffix):
    """No process is started either, which a fixture of this folder watches."""
    import pandas as pd

    content = PICTURES[kind]()
    if kind in FAILS:
        with pytest.raises(FAILS[kind]), Image.open(BytesIO(content)) as image:
            image.load()
    (tmp_path / "nurse").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "nurse" / "a.png")
    (tmp_path / "nurse" / f"b.{suffix}").write_bytes(content)

    class Seer:
        attributes = {"gender": ["woman", "man"]}  # noqa: RUF012

        def label(self, images):
            return pd.DataFrame({"gender": ["man"] * len(images), "gender_confidence": 1.0})

    table = label_images(find_images(tmp_path), Seer())
    assert "unreadable" in " ".join(table.notes)
    assert "another format" in " ".join(table.notes)
