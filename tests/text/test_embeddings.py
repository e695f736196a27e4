"""The store encodes nothing twice, goes on where it was, and ends with the same bytes."""

import json
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from probe.errors import ArtifactError, DataError, ModelError
from probe.io.artifacts import hash_file, read_tensors, write_table
from probe.text import embeddings
from probe.text.embeddings import EmbeddingStore
from probe.text.encoder import TextEncoder
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet


@pytest.fixture(scope="module")
def encoder(pipeline_folder):
    return TextEncoder.load(pipeline_folder)


@pytest.fixture
def other_encoder(pipeline_folder, tmp_path):
    folder = shutil.copytree(pipeline_folder, tmp_path / "model")
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layer_norm_eps": 0.1}))
    return TextEncoder.load(folder)


@pytest.fixture(scope="module")
def prompts():
    chosen = PromptSet.build(Lexicon.load()).select(subject=["nurse", "driver", "cook", "car"])
    return chosen.select(group=["neutral", "object"])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(embeddings, "CHUNK", 4)
    monkeypatch.setattr(embeddings, "_BLOCK", 4)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_the_store_holds_the_embedding_of_every_prompt(encoder, prompts, tmp_path):
    assert EmbeddingStore(tmp_path).update(encoder, prompts) == len(prompts)
    store = EmbeddingStore.open(tmp_path)
    np.testing.assert_allclose(store.vectors(), encoder.embed(prompts.prompts), atol=1e-6)
    assert store.prompt_set.hash == prompts.hash
    assert (store.provenance.model, store.provenance.revision) == (encoder.id, encoder.revision)
    assert store.provenance.made_from == prompts.hash
    assert set(files(tmp_path)) == {"prompts.parquet", "states.safetensors"}
    asked = [prompts.prompts[row] for row in (5, 0, 5, 3)]
    np.testing.assert_array_equal(store.vectors(asked), store.vectors()[[5, 0, 5, 3]])
    with pytest.raises(DataError, match=r"no embedding of 'a wizard' \(1 missing\)"):
        store.vectors(["a wizard", asked[0]])
    with pytest.raises(ValueError, match="read-only"):
        store.vectors()[0, 0] = 1  # mapped from the disk
    store.vectors(asked)[0, 0] = 1  # a copy


def test_only_new_prompts_are_encoded_and_rows_follow_the_new_set(encoder, prompts, tmp_path):
    store = EmbeddingStore(tmp_path)
    store.update(encoder, prompts.select(subject="driver"))
    driver = store.vectors()
    n_new = len(prompts) - len(driver)
    calls = []
    assert store.update(encoder, prompts, progress=lambda *call: calls.append(call)) == n_new
    assert calls[-1] == (n_new, n_new)
    assert store.prompt_set.prompts == prompts.prompts
    np.testing.assert_array_equal(store.vectors(prompts.select(subject="driver").prompts), driver)
    before = files(tmp_path)
    assert store.update(encoder, prompts) == 0
    assert files(tmp_path) == before
    store.update(encoder, prompts.select(subject="nurse"))
    assert set(store.prompt_set.table["subject"]) == {"nurse"}


@pytest.mark.parametrize("stop_after", [4, 8])
def test_an_interrupted_update_goes_on_and_ends_with_the_same_bytes(
    encoder, prompts, tmp_path, stop_after
):
    def interrupt(done, total):
        if done >= stop_after:
            raise KeyboardInterrupt

    EmbeddingStore(tmp_path / "calm").update(encoder, prompts)
    store = EmbeddingStore(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        store.update(encoder, prompts, progress=interrupt)
    with pytest.raises(ArtifactError, match=r"safetensors does not exist"):
        EmbeddingStore.open(tmp_path / "cut")
    assert store.update(encoder, prompts) == len(prompts) - stop_after
    assert files(tmp_path / "cut") == files(tmp_path / "calm")


def test_a_set_with_a_repeated_prompt_has_a_row_for_each(encoder, prompts, tmp_path):
    twice = PromptSet(prompts.table.iloc[[0, 1, 0]].reset_index(drop=True))
    store = EmbeddingStore(tmp_path)
    assert store.update(encoder, twice) == 2
    vectors = store.vectors()
    assert vectors.shape == (3, encoder.n_features)
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_rows_of_another_revision_are_never_taken(encoder, other_encoder, prompts, tmp_path):
    store = EmbeddingStore(tmp_path)
    store.update(encoder, prompts)
    first = np.array(store.vectors())
    assert store.update(other_encoder, prompts) == len(prompts)
    assert np.abs(store.vectors() - first).max() > 1e-3


def test_an_encoder_that_gives_no_number_is_refused_and_nothing_is_written(
    prompts, pipeline_folder, tmp_path
):
    broken = TextEncoder.load(pipeline_folder)
    with torch.no_grad():
        broken.model.final_layer_norm.bias[0] = np.nan
    with pytest.raises(ModelError, match="as a vector that is not finite"):
        EmbeddingStore(tmp_path).update(broken, prompts)
    assert files(tmp_path) == {}


def test_a_store_is_put_together_without_being_in_memory(tmp_path):
    prompts = PromptSet.build(Lexicon.load()).select(group="neutral", split="train")

    class Wide:
        id, revision, n_features = "wide", "r", 100_000

        def embed(self, texts, progress=None):
            return np.stack([np.full(self.n_features, ord(text[-1]), np.float32) for text in texts])

    store = EmbeddingStore(tmp_path)
    tracemalloc.start()
    store.update(Wide(), prompts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < store.vectors().nbytes / 2
    np.testing.assert_array_equal(
        store.vectors()[:, 0], [ord(text[-1]) for text in prompts.prompts]
    )


def test_files_of_two_sets_do_not_belong_together(encoder, prompts, tmp_path):
    store = EmbeddingStore(tmp_path)
    store.update(encoder, prompts)
    provenance = read_tensors(tmp_path / "states.safetensors", kind="states")[1]
    shuffled = prompts.table[::-1].reset_index(drop=True)
    write_table(tmp_path / "prompts.parquet", shuffled, replace(provenance, kind="prompts"))
    with pytest.raises(ArtifactError, match="is not of the prompts in"):
        EmbeddingStore.open(tmp_path)


def test_a_damaged_store_is_refused_by_name(encoder, prompts, tmp_path):
    store = EmbeddingStore(tmp_path)
    store.update(encoder, prompts)
    path = tmp_path / "states.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    for use in (store.vectors, lambda: store.update(encoder, prompts)):
        with pytest.raises(ArtifactError, match=f"{path} cannot be read"):
            use()
