"""The whole pipeline on a GPU, and in half precision, against single precision on the CPU."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from probe.images.plan import read_metadata
from probe.io.artifacts import read_table
from probe.io.executors import RayExecutor
from probe.run import Experiment
from probe.run.files import LABELS

CASES = [
    ("cpu", "bf16"),
    *(pytest.param("cuda", of, marks=pytest.mark.gpu) for of in ("fp32", "bf16", "fp16")),
]
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
TOLERANCES = {"fp32": (0.01, 0.01), "fp16": (0.05, 0.15), "bf16": (0.15, 1.0)}
"""Of the trained experts, as a share of what they learned (bf16 on a CPU: 0.057), and of pixels, 0
to 255, on average (0.43). The formats round by 1e-7, 1e-3 and 8e-3 of a number; a pixel is decoded
from -1 to 1, so that 8e-3 of its value is up to a level."""


def whole_pipeline(folder, model, lexicon, *, device, precision):
    """Run the stages up to `evaluate` and read what they wrote."""
    experiment = Experiment.create(folder, model=str(model), lexicon=lexicon, device=device)
    experiment.set("train", latent_steps=3, width=4, false_alarm=1.0, gate_reads="bias_score")
    experiment.embed()
    experiment.fit(n_bootstrap=20)
    experiment.train(precision=precision)
    experiment.generate(n_images=2, dtype=DTYPES[precision])
    experiment.evaluate(n_bootstrap=20)
    experiment.export(folder / "embeddings.npy")
    experts = load_file(folder / "moesd" / "experts.safetensors")
    keys, images = images_of(folder)
    return SimpleNamespace(
        embeddings=np.load(folder / "embeddings.npy"),
        learned=np.concatenate([of.ravel() for name, of in experts.items() if ".up." in name]),
        images=images,
        keys=keys,
        n_labels=len(read_table(folder / LABELS, kind="labels")[0]),
    )


def images_of(folder):
    """Keys and pixels of the images of both sides."""
    sides = [folder / "images" / side for side in ("base", "moesd")]
    paths = [side / name for side in sides for name in read_metadata(side)["file_name"]]
    keys = [key for side in sides for key in read_metadata(side)["key"]]
    return keys, np.stack([np.asarray(Image.open(path), float) for path in paths])


@pytest.fixture(scope="module")
def on_cpu(model_folder, small_lexicon, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cpu") / "run"
    return whole_pipeline(folder, model_folder, small_lexicon, device="cpu", precision="fp32")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("device", "precision"), CASES)
def test_every_device_and_precision_gives_the_same_result_within_its_rounding(
    on_cpu, model_folder, small_lexicon, tmp_path, device, precision
):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: there is no CUDA device")
    of = {"device": device, "precision": precision}
    made = whole_pipeline(tmp_path / "run", model_folder, small_lexicon, **of)
    of_experts, of_pixels = TOLERANCES[precision]
    np.testing.assert_allclose(made.embeddings, on_cpu.embeddings, atol=1e-4)  # of norm 1
    assert np.abs(on_cpu.learned).max() > 0
    left = np.linalg.norm(made.learned - on_cpu.learned)
    assert left < of_experts * np.linalg.norm(on_cpu.learned)
    if precision != "fp32":
        assert left > 0
        assert (made.images != on_cpu.images).any()
        assert not set(made.keys) & set(on_cpu.keys)  # they are no images to reuse
    assert np.abs(made.images - on_cpu.images).mean() < of_pixels
    assert made.n_labels == on_cpu.n_labels == len(on_cpu.images)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_with_a_gpu_makes_the_images_of_this_process_within_rounding(
    model_folder, small_lexicon, tmp_path
):
    ray, device = pytest.importorskip("ray"), "cuda"
    if not torch.cuda.is_available():
        pytest.skip("NOT TESTED on a GPU: there is no CUDA device")
    whole_pipeline(tmp_path / "here", model_folder, small_lexicon, device=device, precision="fp32")
    there = shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(there / "images")
    executor = RayExecutor(device=device, n_workers=1)
    Experiment.open(there, device=device, executor=executor).generate()
    ray.shutdown()
    (keys, expected), (found, images) = (images_of(tmp_path / of) for of in ("here", "there"))
    assert found == keys
    assert np.abs(images - expected).mean() <= TOLERANCES["fp32"][1]
