"""Any concept in the vectors of a run: axes in closed form, nothing encoded twice."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures.concept import N_SHOWN, concept_places
from probe.errors import DataError, DegenerateDataError, StageError
from probe.io.artifacts import read_table, read_tensors
from probe.latent.directions import PairDirection
from probe.run import Experiment
from probe.run.concept.axes import concept_axes, pair_agreement
from probe.run.concept.words import STORE, ConceptWords, concept_hash
from probe.stats.resampling import Resampling
from probe.text.concepts import Concept
from probe.text.embeddings import EmbeddingStore
from probe.text.encoder import TextEncoder
from probe.text.prompts import ConceptPrompts
from probe.text.vectors import NamedVectors

AGE = """\
name = "age"
templates = ["a photo of a {word} person", "a {word} {target}", "a photo of a {target}"]
targets = ["nurse", "cook", "wizard"]
pairs = [["young", "old"], ["youthful", "elderly"]]
[groups]
young = ["young", "youthful"]
old = ["old", "elderly", "aged"]
"""
KINDS = """\
name = "../../three kinds"
templates = ["a {word} person", "a photo of a {target}"]
targets = ["nurse", "cook"]
[groups]
red = ["red", "scarlet"]
green = ["green", "olive"]
blue = ["blue"]
"""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, model_folder, small_lexicon):
    """A run whose prompts have been embedded and placed, and no more."""
    folder = tmp_path_factory.mktemp("concepts") / "run"
    experiment = Experiment.create(folder, model=str(model_folder), lexicon=small_lexicon)
    experiment.set("fit", n_bootstrap=20).set("study", n_bootstrap=200)
    experiment.embed()
    return folder


@pytest.fixture
def run(embedded, tmp_path):
    (tmp_path / "age.toml").write_text(AGE, encoding="utf-8")
    (tmp_path / "kinds.toml").write_text(KINDS, encoding="utf-8")
    return Experiment.open(shutil.copytree(embedded, tmp_path / "run"))


def words_of(groups, pairs=(), targets=()):
    """Words named after their group and row; targets t0, t1, ..."""
    names = {g: tuple(f"{g}{i}" for i in range(len(rows))) for g, rows in groups.items()}
    vectors = {
        name: row for g, rows in groups.items() for name, row in zip(names[g], rows, strict=True)
    }
    vectors |= {f"t{i}": row for i, row in enumerate(targets)}
    return ConceptWords(names, tuple(f"t{i}" for i in range(len(targets))), vectors, pairs, 0)


def drawn(seed, *sizes, width=6):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, width)) + k for k, n in enumerate(sizes)]


# The mathematics


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 6))
def test_agreement_of_pairs_is_the_mean_of_their_cosines(seed, n):
    a, b = drawn(seed, n, n)
    words = words_of({"a": a, "b": b}, tuple((f"a{i}", f"b{i}") for i in range(n)))
    unit = (a - b) / np.linalg.norm(a - b, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(n, 1)]
    assert pair_agreement(words) == pytest.approx(cosines.mean())
    assert pair_agreement(words_of({"a": a, "b": b}, (("a0", "b0"),))) is None


@given(seed=st.integers(0, 2**32 - 1))
def test_a_shift_of_the_space_moves_no_place(seed):
    a, b, t = drawn(seed, 3, 3, 4)
    shift = np.arange(6.0)
    pairs = tuple((f"a{i}", f"b{i}") for i in range(3))
    for given_pairs in (pairs, ()):
        one = concept_axes(words_of({"a": a, "b": b}, given_pairs), resampling=Resampling(20, 1))
        moved = words_of({"a": a + shift, "b": b + shift}, given_pairs)
        two = concept_axes(moved, resampling=Resampling(20, 1))
        np.testing.assert_allclose(one[0].place(t), two[0].place(t + shift), atol=1e-9)


def test_two_groups_have_one_axis_and_its_zero_lies_between_them():
    a, b = drawn(0, 4, 2)
    (axis,) = concept_axes(words_of({"a": a, "b": b}), resampling=Resampling(50, 0))
    assert (axis.toward, axis.kind) == ("a", "groups")
    means = axis.place(np.stack([a.mean(axis=0), b.mean(axis=0)]))[:, 0]
    gap = np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))
    np.testing.assert_allclose(means, [gap / 2, -gap / 2])
    with pytest.raises(DataError, match=r"0 pairs, and 1 word of group 'a'.* needed 2 pairs, or 2"):
        concept_axes(words_of({"a": a[:1], "b": b}), resampling=Resampling(50, 0))


def test_intervals_are_those_of_axes_fitted_anew_on_drawn_pairs():
    a, b, t = drawn(3, 4, 4, 5)
    pairs = tuple((f"a{i}", f"b{i}") for i in range(4))
    (axis,) = concept_axes(words_of({"a": a, "b": b}, pairs), resampling=Resampling(300, 5))
    counts = np.random.default_rng(5).multinomial(4, np.full(4, 1 / 4), size=300)
    places = []
    for count in counts:
        rows = np.repeat(np.arange(4), count)
        direction = PairDirection().fit(a[rows], b[rows]).direction_
        places.append((t - (a[rows] + b[rows]).mean(axis=0) / 2) @ direction)
    found = axis.place(t)
    np.testing.assert_allclose(found[:, 1:].T, np.quantile(places, (0.025, 0.975), axis=0))


def test_more_pairs_make_a_planted_axis_firmer():
    rng = np.random.default_rng(0)
    axis = np.eye(30)[0]
    angles = []
    for n in (4, 64):
        common, noise = rng.standard_normal((n, 30)), rng.standard_normal((2, n, 30))
        pairs = tuple((f"a{i}", f"b{i}") for i in range(n))
        groups = {"a": common + axis + 0.3 * noise[0], "b": common - axis + 0.3 * noise[1]}
        (found,) = concept_axes(words_of(groups, pairs), resampling=Resampling(200, 0))
        assert found.vector @ axis > 0.8  # the noise of 4 pairs is 0.2 in each direction
        angles.append(found.angles()[0])
    assert angles[1] < angles[0] / 2


def test_each_of_three_planted_groups_lies_on_its_own_axis():
    rng = np.random.default_rng(0)
    corners = 3 * np.eye(20)[:3]
    groups = {g: corners[i] + 0.2 * rng.standard_normal((4, 20)) for i, g in enumerate("abc")}
    axes = concept_axes(words_of(groups), resampling=Resampling(100, 0))
    assert [axis.toward for axis in axes] == ["a", "b", "c"]
    places = np.stack([axis.place(corners)[:, 0] for axis in axes])
    assert (places.argmax(axis=1) == [0, 1, 2]).all()
    axes = concept_axes(words_of(groups | {"b": groups["b"][:1]}), resampling=Resampling(50, 0))
    place = axes[1].place(corners)  # of a single word there is an axis, but no interval
    assert np.isfinite(place[:, 0]).all()
    assert np.isnan(place[:, 1:]).all()
    assert np.isnan(axes[1].angles()).all()


def test_groups_at_the_same_place_have_no_axis():
    (a,) = drawn(0, 3)
    pairs = tuple((f"a{i}", f"b{i}") for i in range(3))
    for given_pairs in (pairs, ()):
        with pytest.raises(DegenerateDataError):
            concept_axes(words_of({"a": a, "b": a}, given_pairs), resampling=Resampling(50, 0))


# In a run of a model


def test_the_axis_of_a_model_is_that_of_all_its_pairs_of_prompts(run, tmp_path, model_folder):
    outcome = run.concept(tmp_path / "age.toml")
    prompts = ConceptPrompts.build(Concept.load(tmp_path / "age.toml"))
    z = TextEncoder.load(str(model_folder)).embed(prompts.prompts)
    first, second = prompts.pairs()
    arrays, _ = read_tensors(run.folder / "latent/concepts/age.safetensors", kind="axes")
    expected = PairDirection().fit(z[first], z[second]).direction_
    np.testing.assert_allclose(arrays["vectors"][0], expected, atol=1e-5)
    table, _ = read_table(run.folder / "latent/concepts/age.parquet", kind="concept")
    place = table.set_index("name")["place"]
    for name, rows in prompts.targets().items():
        direct = (z[rows].mean(axis=0) - arrays["center"]) @ expected
        assert place[name] == pytest.approx(direct, abs=1e-5)
    assert outcome.result.to_json()["n_prompts"] == len(prompts)
    ends = [line for line in outcome.result.summary().splitlines() if line.startswith("  ")]
    assert [" ".join(ends).count(name) for name in ("nurse", "cook", "wizard")] == [1, 1, 1]


def test_targets_that_no_template_says_alone_are_left_out_and_this_is_said(run, tmp_path):
    text = AGE.replace(', "a photo of a {target}"', "")
    (tmp_path / "age.toml").write_text(text, encoding="utf-8")
    result = run.concept(tmp_path / "age.toml").result
    assert result.summary().startswith("3 targets are left out: no template says a {target}")
    assert result.to_json()["measures"] == []


def test_what_has_been_encoded_is_not_encoded_again(run, tmp_path, monkeypatch):
    run.concept(tmp_path / "age.toml")
    own = set(EmbeddingStore.open(run.folder / "embeddings").prompt_set.prompts)
    new = EmbeddingStore.open(run.folder / STORE).prompt_set.prompts
    assert "a photo of a nurse" in own
    assert "a photo of a wizard" in new
    assert not own & set(new)

    def refuse(self):
        raise AssertionError("the encoder was loaded")

    monkeypatch.setattr("probe.run.folder.Run.load_encoder", refuse)
    assert not run.concept(tmp_path / "age.toml").was_made
    assert run.concept(tmp_path / "age.toml", seed=4).was_made
    with pytest.raises(AssertionError):
        run.concept(tmp_path / "kinds.toml")


@pytest.mark.slow
def test_concepts_stand_beside_each_other_and_going_back_gives_the_old_bytes(run, tmp_path):
    run.concept(tmp_path / "age.toml")
    first = (run.folder / "latent/concepts/age.json").read_bytes()
    run.concept(tmp_path / "kinds.toml")
    assert (run.folder / "latent/concepts/three_kinds.parquet").exists()
    assert not run.concept(tmp_path / "age.toml").was_made
    run.concept(tmp_path / "age.toml", seed=4)
    assert (run.folder / "latent/concepts/age.json").read_bytes() != first
    run.concept(tmp_path / "age.toml", seed=0)
    assert (run.folder / "latent/concepts/age.json").read_bytes() == first
    stages = run.info().stages
    assert stages["concept age"] is None
    assert next(iter(stages)) == "embed"
    run.set("embed", lexicon="")
    assert run.info().stages["concept age"] == "waits for embed"


@pytest.mark.slow
def test_the_axis_is_compared_with_that_of_the_run_once_there_is_one(run):
    found = run.concept("gender").result.to_json()
    assert found["axes"][0]["cosine_to_run"] is None
    run.fit()
    outcome = run.concept("gender")
    assert outcome.was_made
    assert -1 <= outcome.result.to_json()["axes"][0]["cosine_to_run"] <= 1
    assert "with the run's own axis" in outcome.result.summary()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["age", "religion", "skin_tone"])
def test_every_shipped_concept_goes_through_the_command(run, name, done):
    told = done("concept", run.folder, name, "--n-bootstrap", 20)
    assert told.startswith(f"concept {name}: made")
    for suffix in ("pdf", "png", "csv"):
        assert (run.folder / f"figures/concepts/{name}.{suffix}").stat().st_size > 0


# What is refused


def test_an_unknown_or_wrong_concept_is_refused_and_nothing_is_written(
    run, tmp_path, model_folder, refusal
):
    before = sorted(run.folder.rglob("*"))
    assert "age, gender, perceived_race, religion" in refusal("concept", run.folder, "agee")
    assert "nothere.toml" in refusal("concept", run.folder, "nothere.toml")
    for name, message in (('"!!!"', "cannot be that of a file"), ('"age', "is not TOML")):
        (tmp_path / "bad.toml").write_text(AGE.replace('"age"', name, 1), encoding="utf-8")
        assert message in refusal("concept", run.folder, tmp_path / "bad.toml")
    assert sorted(run.folder.rglob("*")) == before
    experiment = Experiment.create(tmp_path / "new", model=str(model_folder))
    with pytest.raises(StageError, match=r"concept requires embed.*`moesd-probe embed"):
        experiment.concept("age")


def test_a_zero_vector_of_a_word_is_named(tmp_path):
    names = ("young", "youthful", "old", "elderly")
    rows = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    rows[1] = 0
    (tmp_path / "age.toml").write_text(AGE, encoding="utf-8")
    experiment = Experiment.from_vectors(tmp_path / "run", NamedVectors(names, rows, "x.npy"))
    with pytest.raises(DegenerateDataError, match="'youthful' are zero"):
        experiment.concept(tmp_path / "age.toml")


def test_every_entry_of_a_concept_counts(tmp_path):
    def hashed(text):
        (tmp_path / "a.toml").write_text(text, encoding="utf-8")
        return concept_hash(Concept.load(tmp_path / "a.toml"))

    pairs = 'pairs = [["young", "old"], ["youthful", "elderly"]]'
    entries = ('"age"', "cook", "a photo", '"aged"', pairs)
    others = ('"old age"', "baker", "a painting", '"grey"', "")
    changed = [AGE.replace(old, new) for old, new in zip(entries, others, strict=True)]
    assert len({hashed(text) for text in (AGE, *changed)}) == 6
    assert hashed("# a note\n" + AGE) == hashed(AGE)


# The figure


def test_the_figure_has_a_panel_an_axis_and_leaves_out_only_the_middle(run, tmp_path):
    run.concept(tmp_path / "kinds.toml")
    table, _ = read_table(run.folder / "latent/concepts/three_kinds.parquet", kind="concept")
    figure = concept_places(table)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["place towards red", "place towards green", "place towards blue"]
    targets = table[(table["kind"] == "target") & (table["toward"] == "red")]
    many = targets.iloc[[0] * (N_SHOWN + 7)].assign(place=np.arange(N_SHOWN + 7.0))
    (axes,) = concept_places(many.assign(group="")).axes
    assert axes.get_xlabel() == "place towards red (7 in the middle left out)"
    shown = axes.collections[1].get_offsets()[:, 0]
    assert (shown.min(), shown.max(), len(shown)) == (0, N_SHOWN + 6, N_SHOWN)
    # else it leaves no room for the axes, and matplotlib warns
    long = "first-line supervisors of office and administrative support workers, all other"
    (axes,) = concept_places(many.assign(group="", name=long)).axes
    axes.figure.draw_without_rendering()
    assert axes.get_position().width > 0.4
    assert axes.get_yticklabels()[0].get_text().startswith("first-line supervisors")
