"""Vectors that were made elsewhere are a run of their own: kept as they came, without a model."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from probe.errors import StageError
from probe.io.artifacts import read_json, read_table, read_tensors
from probe.run import Experiment
from probe.run.imported_vectors import NAMES, VECTORS
from probe.text.vector_files import read_vectors, write_vectors
from probe.text.vectors import NamedVectors

JOBS = {f"job{i}": (i + 0.5) / 12 for i in range(12)}
"""Share of women in each; their vectors are planted to follow it."""

CONCEPT = """\
name = "gender"
pairs = [["he", "she"], ["king", "queen"], ["son", "daughter"], ["uncle", "aunt"], ["lad", "lass"]]
[groups]
male = ["he", "king", "son", "uncle", "lad"]
female = ["she", "queen", "daughter", "aunt", "lass"]
[targets]
"""


def planted(strength, seed=0, width=40):
    """Words of two genders and jobs; ``strength`` times an axis tells them apart."""
    rng = np.random.default_rng(seed)
    axis = rng.standard_normal(width)
    axis /= np.linalg.norm(axis)
    names = ["he", "king", "son", "uncle", "lad", "she", "queen", "daughter", "aunt", "lass"]
    sides = [*[1.0] * 5, *[-1.0] * 5, *(1 - 2 * share for share in JOBS.values())]
    common = np.tile(rng.standard_normal((5, width)), (2, 1))  # what the words of a pair share
    rows = np.concatenate([common, rng.standard_normal((len(JOBS), width))])
    rows += 0.3 * rng.standard_normal(rows.shape)
    rows -= np.outer(rows @ axis, axis)
    rows = 0.3 * rows + strength * np.outer(sides, axis)
    return NamedVectors((*names, *JOBS), rows.astype(np.float32), "planted.npz"), axis


@pytest.fixture
def files(tmp_path):
    vectors, _ = planted(1.0)
    write_vectors(vectors, tmp_path / "planted.npz")
    lines = [f"{name} = {{ female = {share} }}" for name, share in JOBS.items()]
    (tmp_path / "mine.toml").write_text(CONCEPT + "\n".join(lines), encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(files, done):
    done("embed", files / "run", "--import", files / "planted.npz")
    return files / "run"


def test_a_planted_axis_is_found_and_what_leans_along_it(run, files, done):
    found = json.loads(done("concept", run, files / "mine.toml", "--json"))
    vectors, axis = planted(1.0)
    arrays, _ = read_tensors(run / "latent/concepts/gender.safetensors", kind="axes")
    assert arrays["vectors"][0] @ axis > 0.95
    assert found["axes"][0]["kind"] == "pairs"
    assert found["axes"][0]["n_units"] == 5
    assert found["axes"][0]["angle_high"] < 25
    assert found["correlations"][0]["group"] == "female"
    assert found["correlations"][0]["r"] > 0.9
    weat = next(row for row in found["measures"] if row["measure"] == "WEAT")
    assert weat["value"] > 1.5
    assert weat["p_holm"] < 0.01
    places, _ = read_table(run / "latent/concepts/gender.parquet", kind="concept")
    z = vectors.unit()[vectors.rows(places["name"].tolist())]
    direct = (z - arrays["center"]) @ arrays["vectors"][0]
    np.testing.assert_allclose(places["place"], direct, atol=1e-6)
    assert (places["low"] < places["high"]).all()


def test_vectors_go_out_bit_for_bit_as_they_came(run, files, done):
    done("export", run, files / "out.npz")
    back, came = read_vectors(files / "out.npz"), read_vectors(files / "planted.npz")
    assert back.names == came.names
    assert back.matrix.tobytes() == came.matrix.tobytes()


def test_info_lists_the_vectors_and_the_concepts_looked_at(run, files, done):
    done("concept", run, files / "mine.toml")
    text = done("info", run, "--full")
    assert text.startswith("model import:planted.npz, ")
    assert "up to date: embed, concept gender" in text
    assert "embeddings/vectors.safetensors" in text
    with (run / "concepts/gender.toml").open("a", encoding="utf-8") as file:
        file.write("\nnew = { female = 0.5 }")
    assert "was made with other settings or inputs" in done("info", run)


@pytest.mark.slow
def test_the_same_command_does_nothing_twice_and_gives_the_same_bytes(run, files, contents, done):
    made = done("concept", run, files / "mine.toml")
    assert made.startswith("concept gender: made")
    kept, _ = read_json(run / "latent/concepts/gender.json", kind="study")
    assert kept["lines"] == made.splitlines()[1:]
    before = contents(run)
    assert done("concept", run, files / "mine.toml").startswith("concept gender: skipped")
    done("embed", run, "--import", files / "planted.npz")
    assert done("embed", run).endswith("22 vectors of 40 features from planted.npz\n")
    assert contents(run) == before


@pytest.mark.parametrize(
    "name", ["fit", "train", "generate", "evaluate", "visualize", "report", "run", "study"]
)
def test_what_needs_a_model_is_refused_and_changes_nothing(run, name, contents, refusal):
    before = contents(run)
    line = refusal(name, run)
    assert f"imported vectors and no model, which {name} needs" in line
    assert f"moesd-probe concept {run} gender" in line
    assert contents(run) == before


def test_prompts_are_refused_where_nothing_can_embed_them(run, files, contents, refusal):
    (files / "x.txt").write_text("a cat\n", encoding="utf-8")
    before = contents(run)
    assert "no encoder" in refusal("embed", run, "--prompts", files / "x.txt")
    assert contents(run) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--import", "planted.npz", "--model", "tinytown"], "--import takes no model, lexicon"),
        (["--names", "mine.toml"], "--names names the rows of --import, which is not given"),
        (["--import", "nowhere.npz"], "does not exist"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    files, monkeypatch, arguments, message, refusal
):
    monkeypatch.chdir(files)
    assert message in refusal("embed", "new", *arguments, code=2)
    assert not (files / "new").exists()


def test_other_vectors_and_models_are_refused_in_both_orders(
    run, files, finished_run, tmp_path, contents, refusal
):
    before = contents(run)
    for source in (files / "other/planted.npz", files / "other.npz"):
        write_vectors(planted(1.0, seed=1)[0], source)
        assert "start a new run" in refusal("embed", run, "--import", source)
    assert "start a new run" in refusal("embed", run, "--model", "tinytown")
    assert contents(run) == before
    model = shutil.copytree(finished_run, tmp_path / "model")
    before = contents(model)
    assert "is a run of" in refusal("embed", model, "--import", files / "planted.npz")
    assert contents(model) == before


def test_a_damaged_vector_is_named_and_the_others_stay_usable(run, files, done, refusal):
    vectors, _ = planted(1.0)
    content = bytearray((run / VECTORS).read_bytes())
    content[-4 * vectors.matrix.shape[1] * (len(vectors) - vectors.row_of["king"])] ^= 1
    (run / VECTORS).write_bytes(content)
    line = refusal("concept", run, files / "mine.toml")
    assert "the vector of 'king' is damaged (1 of 22 are)" in line
    assert "--import planted.npz" in line
    text = CONCEPT.replace('["king", "queen"], ', "").replace(', "king"', "")
    (files / "less.toml").write_text(text.replace('"queen", ', ""), encoding="utf-8")
    done("concept", run, files / "less.toml")
    done("embed", run, "--import", files / "planted.npz")
    done("concept", run, files / "mine.toml")


@pytest.mark.parametrize("name", [VECTORS, NAMES])
def test_a_lost_or_truncated_file_is_named_and_can_be_imported_again(
    run, files, name, contents, done, refusal
):
    before = contents(run)
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"x")):
        damage(run / name)
        assert name in refusal("concept", run, files / "mine.toml")
        assert "--import planted.npz" in refusal("embed", run)
        done("embed", run, "--import", files / "planted.npz")
        assert contents(run) == before


def test_names_of_other_vectors_are_refused(run, files, tmp_path):
    Experiment.from_vectors(tmp_path / "second", planted(1.0, seed=1)[0])
    shutil.copyfile(tmp_path / "second" / NAMES, run / NAMES)
    with pytest.raises(StageError, match=r"is not of embeddings/vectors.* --import FILE"):
        Experiment.open(run).export(files / "out.npz")


@pytest.mark.slow
def test_the_whole_road_of_imported_vectors_needs_no_torch(files):
    script = f"""
import sys
from cli.main import main
for arguments in (
    ["embed", "{files}/run", "--import", "{files}/planted.npz"],
    ["embed", "{files}/run"],
    ["concept", "{files}/run", "{files}/mine.toml"],
    ["info", "{files}/run"],
    ["export", "{files}/run", "{files}/out.parquet"],
):
    main(arguments, standalone_mode=False)
heavy = ("torch", "transformers", "diffusers", "umap")
print(*[name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "", done.stdout
    assert (files / "run/figures/concepts/gender.png").is_file()


@pytest.mark.real
def test_the_known_axis_of_real_embeddings_comes_out_of_the_command(real_data, tmp_path, done):
    folder = real_data / "detic"
    named = ["--names", folder / "oid_categories.csv"]
    source = folder / "oid_clip_a+cname.npy"
    done("embed", tmp_path / "run", "--import", source, *named)
    told = done("concept", tmp_path / "run", "gender")
    assert "mean cosine between the differences of two pairs: 0.650" in told
    assert "'gentleman'" in told  # is missing, and said to be
