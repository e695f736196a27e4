"""A user's prompts stand beside those of the lexicon, on the same axis, and embeddings go out."""

import shutil

import numpy as np
import pytest

from probe.io.artifacts import read_table
from probe.run import Experiment
from probe.run.files import USER_PLACES
from probe.text.embeddings import EmbeddingStore
from probe.text.prompt_files import read_prompts
from probe.text.vector_files import read_vectors

USER_PROMPTS = """\
id,caption,group
1,a photo of a nurse,known
2,a wizard in a hat,new
3,a portrait of a carpenter,known
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, model_folder, small_lexicon):
    """A run with prompts of the user's own, as far as the axis."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.csv").write_text(USER_PROMPTS, encoding="utf-8")
    experiment = Experiment.create(
        folder / "run",
        model=str(model_folder),
        lexicon=small_lexicon,
        prompts=read_prompts(folder / "mine.csv", column="caption"),
    )
    experiment.set("fit", n_bootstrap=50)
    assert experiment.embed().result.data["n_user_prompts"] == 3
    experiment.fit()
    return experiment


def test_own_prompts_are_placed_where_the_map_has_the_same_ones(made):
    assert not made.embed().was_made
    assert not made.fit().was_made
    places, _ = read_table(made.folder / USER_PLACES, kind="places")
    mapped, _ = read_table(made.folder / "latent/map.parquet", kind="map")
    names = ["a photo of a nurse", "a wizard in a hat", "a portrait of a carpenter"]
    assert places["prompt"].tolist() == names
    assert places["id"].tolist() == [1, 2, 3]
    assert places["group_in_file"].tolist() == ["known", "new", "known"]
    assert set(places.columns) == {"prompt", "id", "group_in_file", "bias_score", "projection"}
    mapped = mapped.set_index("prompt").loc[places["prompt"].iloc[[0, 2]]]
    for column in ("bias_score", "projection"):  # batches of other sizes round otherwise
        np.testing.assert_allclose(places[column].iloc[[0, 2]], mapped[column], atol=1e-6)
    assert abs(places["bias_score"].iloc[0] - places["bias_score"].iloc[2]) > 1e-4


def test_other_prompts_are_embedded_and_placed_anew_and_the_direction_stays(
    made, tmp_path, model_folder
):
    folder = shutil.copytree(made.folder, tmp_path / "run")
    direction = (folder / "latent/direction.safetensors").read_bytes()
    (tmp_path / "other.txt").write_text("a witch\n", encoding="utf-8")
    changed = Experiment.create(
        folder, model=str(model_folder), prompts=read_prompts(tmp_path / "other.txt")
    )
    assert "other settings or inputs" in changed.embed().why
    assert changed.fit().was_made
    places, _ = read_table(folder / USER_PLACES, kind="places")
    assert places["prompt"].tolist() == ["a witch"]
    assert (folder / "latent/direction.safetensors").read_bytes() == direction


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.safetensors", "a.parquet", "a.jsonl"])
def test_an_export_holds_every_prompt_once_with_the_bits_of_the_store(made, tmp_path, name):
    written = made.export(tmp_path / name)
    vectors = read_vectors(tmp_path / name)
    store = EmbeddingStore.open(made.folder / "embeddings")
    own = EmbeddingStore.open(made.folder / "embeddings/user_prompts")
    assert vectors.names == tuple(
        dict.fromkeys([*store.prompt_set.prompts, *own.prompt_set.prompts])
    )
    assert (written.data["n_prompts"], written.data["n_features"]) == vectors.matrix.shape
    n_store = len(store.prompt_set)
    np.testing.assert_array_equal(vectors.matrix[:n_store], store.vectors())
    np.testing.assert_array_equal(vectors.matrix[n_store:], own.vectors(["a wizard in a hat"]))
