"""A correction of a stranger is compared with its files; pictures start no process."""

import resource
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features

from probe.audit.image_labels import label_images
from probe.audit.readers.image_folders import find_images
from probe.io.artifacts import read_json, read_tensors, write_json, write_tensors

pytestmark = pytest.mark.timeout(30, func_only=True)

GIGABYTE = 2**20  # kilobytes, as `resource` counts
MANY = range(10**5)
UNET = {"sites": {"mid": 8}, "width": 4, "n_experts": 2, "style": "adapter"}
SETTINGS = {
    "experts of 10^12 rows": {"width": 10**12},
    "states of 10^12 features": {"n_features": 10**12},
    "many values": {"attributes": [{"name": "a", "values": [[str(n)] * 2 for n in MANY]}]},
    "experts in a U-Net of 10^12 rows": {"unet": {**UNET, "width": 10**12}},
    "layers of 10^12 channels": {"unet": {**UNET, "sites": {"mid": 10**12}}},
    "many layers": {"unet": {**UNET, "sites": {str(n): 8 for n in MANY}}},
}
LONGER = {"token": "token", "gate": "gate-weights", "experts": "experts"}
"""Files of which each tensor gets one more column, and their kinds."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] if case.startswith("many") else [])
        for case in (*SETTINGS, *LONGER)
    ],
)
def test_a_correction_of_other_sizes_is_refused_before_memory_is_taken(
    finished_run, tmp_path, call, case
):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    name, kind = (case, LONGER[case]) if case in LONGER else ("experts", "experts")
    path = run / f"moesd/{name}.safetensors"
    arrays, made = read_tensors(path, kind=kind)
    if case in LONGER:
        longer = {of: np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, 1)])
                  for of, array in arrays.items()}  # fmt: skip
        write_tensors(path, longer, made)
    else:
        unet = path.with_name("unet_experts.safetensors")
        write_tensors(unet, arrays, replace(made, kind="unet-experts"))
        config, made = read_json(path.with_name("config.json"), kind="moesd")
        write_json(path.with_name("config.json"), config | SETTINGS[case], made)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = call("inspect", run, "a photo of a nurse")
    assert result.exit_code == 1, result.output
    assert "train it again" in result.stderr
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GIGABYTE


def avif():
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    Image.effect_noise((64, 64), 90).convert("RGB").save(content := BytesIO(), "AVIF")
    return content.getvalue()[:-200]


PICTURES = {
    "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    "AVIF": avif,
    "DDS of an unknown pixel format": lambda: b"DDS " + bytes((124, 0, 0, 0, 7, 16)) + bytes(300),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_of_a_format_that_is_not_opened_counts_as_unreadable(tmp_path, kind):
    (tmp_path / "nurse").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "nurse" / "a.png")
    (tmp_path / "nurse" / "b.png").write_bytes(PICTURES[kind]())

    class Seer:
        attributes = {"gender": ["woman", "man"]}  # noqa: RUF012

        def label(self, images):
            return pd.DataFrame({"gender": ["man"] * len(images), "gender_confidence": 1.0})

    assert "another format" in " ".join(label_images(find_images(tmp_path), Seer()).notes)
