"""A model is found by name, folder or hub id; a bad one is refused in one line."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from probe.errors import ModelError
from probe.text import checkpoints
from probe.text.checkpoints import model_revision, read_index, refuse_pickle, resolve_model
from probe.text.encoder import TextEncoder

HUB_ID = "some-org/tiny-diffusion"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(pipeline_folder, tmp_path):
    """A copy of the pipeline that a test may damage."""
    return Path(shutil.copytree(pipeline_folder, tmp_path / "model"))


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty Hugging Face cache, without a network."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def put_in_cache(source: Path, cache: Path) -> Path:
    """Lay a model out as the hub does: blobs, and snapshots of links to them."""
    repository = cache / f"models--{HUB_ID.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    (repository / "blobs").mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        link = snapshot / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, repository / "blobs" / f"{number:040x}")
        depth = len(link.relative_to(repository).parts) - 1
        link.symlink_to(Path(*[".."] * depth, "blobs", f"{number:040x}"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return snapshot


def refusal(use, *arguments) -> str:
    """The message of the error, which is one line."""
    with pytest.raises(ModelError) as caught:
        use(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Finding


@pytest.mark.parametrize("model", ["nosuch", "./nosuch", "/no/such/folder", Path("some-org/x")])
def test_an_unknown_model_is_refused_with_what_can_be_given(model):
    message = refusal(resolve_model, model)
    assert f"unknown model {str(model)!r}" in message
    assert "tinytown, tinytown-xl, tinytown-dit, a folder, or a hub id" in message


@pytest.mark.parametrize("name", checkpoints.SHIPPED)
def test_a_laboratory_model_without_its_weights_says_how_to_make_them(monkeypatch, tmp_path, name):
    monkeypatch.setitem(checkpoints.SHIPPED, name, tmp_path)
    assert f"make train-tinytown MODEL={name}" in refusal(resolve_model, name)


def test_a_hub_id_is_opened_from_the_cache_as_the_hub_lays_it_out(pipeline_folder, hub_cache):
    snapshot = put_in_cache(pipeline_folder, hub_cache)
    assert resolve_model(HUB_ID) == snapshot
    encoder = TextEncoder.load(HUB_ID)
    assert (encoder.id, encoder.revision) == (HUB_ID, COMMIT)
    expected = TextEncoder.load(pipeline_folder).embed(["a nurse"])
    np.testing.assert_array_equal(encoder.embed(["a nurse"]), expected)


def test_a_hub_id_that_is_absent_offline_or_there_in_part_says_so(pipeline_folder, hub_cache):
    message = refusal(resolve_model, HUB_ID)
    assert f"model {HUB_ID} is not in the Hugging Face cache {hub_cache}" in message
    assert f"`hf download {HUB_ID}`" in message
    shutil.rmtree(put_in_cache(pipeline_folder, hub_cache) / "unet")
    assert f"holds model {HUB_ID} without unet" in refusal(resolve_model, HUB_ID)


def test_a_gated_hub_id_says_how_access_is_got(hub_cache, monkeypatch):
    class Gated(huggingface_hub.errors.GatedRepoError):
        def __init__(self):
            Exception.__init__(self, "403 Client Error.")

    def gated(*args, local_files_only=False, **kwargs):
        raise huggingface_hub.errors.LocalEntryNotFoundError("") if local_files_only else Gated

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gated)
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    message = refusal(resolve_model, HUB_ID)
    assert f"accept its terms on https://huggingface.co/{HUB_ID}" in message
    assert "`hf auth login`" in message


# Revision


def test_the_revision_is_that_of_the_content_and_not_of_the_place(pipeline_folder, folder):
    assert model_revision(folder) == model_revision(pipeline_folder)
    (folder / ".lock").touch()
    (folder / "README.md").write_text("words")
    (folder / "training_card.json").write_text("{}")
    (folder / "TRAINING_CARD.json").write_text("{}")
    assert model_revision(folder) == model_revision(pipeline_folder)


@pytest.mark.parametrize("whole", [True, False])
def test_one_changed_weight_is_another_revision(folder, monkeypatch, whole):
    if not whole:  # as for files of gigabytes
        monkeypatch.setattr(checkpoints, "_WHOLE", 1000)
        monkeypatch.setattr(checkpoints, "_BLOCK", 1000)
    before = model_revision(folder)
    path = folder / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    weights["final_layer_norm.bias"][0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    assert model_revision(folder) != before


# Bad folders


def test_a_folder_without_model_index_and_config_is_refused(tmp_path):
    assert "holds neither configuration nor weights" in refusal(TextEncoder.load, tmp_path)
    with pytest.raises(ModelError, match=r"has no model_index\.json; needed a pipeline's folder"):
        read_index(tmp_path)


def test_a_pipeline_without_a_text_encoder_is_refused(folder):
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"text_encoder": [None, None]}))
    assert "has no text_encoder" in refusal(TextEncoder.load, folder)


@pytest.mark.parametrize(
    "name", ["model_index.json", "text_encoder/config.json", "text_encoder/model.safetensors"]
)
@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.99])
def test_a_truncated_file_is_refused(folder, name, kept):
    content = (folder / name).read_bytes()
    size = int(kept * len(content)) if isinstance(kept, float) else kept
    (folder / name).write_bytes(content[:size])
    assert str((folder / name).parent) in refusal(TextEncoder.load, folder)


def test_missing_weights_are_refused_and_not_made_up(folder):
    path = folder / "text_encoder" / "model.safetensors"
    weights = load_file(path)
    del weights["final_layer_norm.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    assert "misses the weights final_layer_norm.weight (1 in all)" in refusal(
        TextEncoder.load, folder
    )


@pytest.mark.parametrize("part", ["text_encoder", "tokenizer"])
def test_a_missing_part_is_refused(folder, part):
    shutil.rmtree(folder / part)
    assert str(folder / part) in refusal(TextEncoder.load, folder)


def test_a_pickle_is_refused_with_how_to_convert_it_and_opened_on_request(folder):
    expected = TextEncoder.load(folder).embed(["a nurse"])
    path = folder / "text_encoder" / "model.safetensors"
    torch.save(load_file(path), path.with_name("pytorch_model.bin"))
    path.unlink()
    for refuse in (lambda: TextEncoder.load(folder), lambda: refuse_pickle(folder)):
        message = refusal(refuse)
        assert f"{path.with_name('pytorch_model.bin')} is a pickle" in message
        assert "save_pretrained" in message
    opened = TextEncoder.load(folder, allow_pickle=True)
    # The same weights lie elsewhere in memory, where sums may be rounded in another order.
    np.testing.assert_allclose(opened.embed(["a nurse"]), expected, atol=1e-6)


def test_loading_prints_nothing(pipeline_folder, clip_folder, capfd):
    for source in (pipeline_folder, clip_folder):
        TextEncoder.load(source).embed(["a nurse"])
    assert capfd.readouterr() == ("", "")
