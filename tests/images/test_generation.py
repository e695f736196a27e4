import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from probe.errors import DataError, ModelError
from probe.images.generation import GenerationPlan, generate
from probe.images.intervention import Condition, Intervention, StateCorrection
from probe.images.pipelines import GenerationSettings, generation_settings, load_pipeline
from probe.images.plan import read_metadata
from probe.text.lexicon import Lexicon, Occupation

STEPS, GUIDANCE = 2, 3.0


@pytest.fixture(scope="module")
def lexicon():
    shipped = Lexicon.load()
    jobs = (
        Occupation("nurse", 0.9, "test", "planted"),
        Occupation("cook", 0.4, "train", "planted"),
    )
    return replace(shipped, occupations=jobs, objects={"test": ("car",), "validation": ("cup",)})


@pytest.fixture(scope="module")
def plan(lexicon):
    return GenerationPlan.build(lexicon, n_images=3, seed=7)


def make(pipeline, plan, folder, **options):
    given = {"guidance_scale": GUIDANCE, "n_steps": STEPS, "batch_size": 4, "revision": "tiny"}
    return generate(pipeline, plan, folder, **(given | options))


@pytest.fixture(scope="module")
def base(pipeline, plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    make(pipeline, plan, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


class Halve:
    """Corrects one subject only."""

    def correct(self, prompts, states):
        touched = torch.tensor(["nurse" in prompt for prompt in prompts])
        return torch.where(touched[:, None, None], states / 2, states)


class Nothing:
    def correct(self, prompts, states):
        return states.clone()


# The plan


def test_a_plan_has_the_asked_number_of_every_kind():
    plan = GenerationPlan.build(Lexicon.load(), n_images=20, seed=0)
    counts = plan.table["kind"].value_counts()
    assert counts.to_dict() == {"neutral": 40 * 20, "female": 40 * 5, "male": 40 * 5, "object": 25}


def test_neutral_prompts_of_a_plan_say_no_gender_and_explicit_ones_say_theirs(plan):
    words = {"female": {"woman", "female"}, "male": {"man", "male"}}
    for row in plan.table.itertuples():
        said = {kind for kind, names in words.items() if names & set(row.prompt.split())}
        assert said == ({row.kind} if row.kind in words else set())


def test_a_larger_plan_only_adds_pictures(lexicon):
    small = GenerationPlan.build(lexicon, n_images=8, seed=1).table
    large = GenerationPlan.build(lexicon, n_images=40, seed=1).table
    assert set(small.itertuples(index=False)) < set(large.itertuples(index=False))


def test_pictures_of_a_subject_share_their_noise_across_kinds_and_no_others_do(plan):
    table = plan.table.assign(index=plan.table["file_name"].str[-9:-4])
    assert (table.groupby(["subject", "index"])["seed"].nunique() == 1).all()
    assert table["seed"].nunique() == table.groupby(["subject", "index"]).ngroups


def test_training_pictures_are_of_no_other_occupation_and_share_no_noise(lexicon, plan):
    examples = GenerationPlan.examples(lexicon, n_images=5, seed=7).table
    assert set(examples["subject"]) == {"cook"}
    assert examples["kind"].value_counts().to_dict() == {"female": 5, "male": 5}
    assert not set(examples["seed"]) & set(plan.table["seed"])


def test_a_plan_for_validation_shows_no_occupation_object_or_template_for_testing(lexicon, plan):
    table = GenerationPlan.build(lexicon, n_images=3, seed=7, split="validation").table
    assert set(table["subject"]) == {"cook", "cup"}
    assert set(table.loc[table["kind"] == "neutral", "prompt"]) == {"a picture of a cook"}
    assert not set(table["prompt"]) & set(plan.table["prompt"])


def test_subjects_that_would_share_a_folder_get_their_own(lexicon):
    names = ("C.E.O", "c e o", "看護師", "CEO")
    jobs = tuple(Occupation(name, 0.5, "train", "planted") for name in names)
    odd = replace(lexicon, occupations=jobs)
    files = GenerationPlan.build(odd, n_images=1, seed=0).table["file_name"]
    assert files.is_unique
    assert files.str.fullmatch(r"[a-z0-9-]+/[a-z]+-\d{5}\.png").all()


def test_a_plan_that_names_a_file_twice_is_refused(plan):
    doubled = plan.table.assign(file_name="same.png")
    with pytest.raises(DataError, match="names the same file twice"):
        GenerationPlan(doubled)


# The pictures


@pytest.mark.parametrize("guidance", [GUIDANCE, 1.0])
def test_images_are_those_of_a_plain_pipeline_call(pipeline, plan, base, tmp_path, guidance):
    folder = base
    if guidance == 1.0:
        folder = tmp_path
        make(pipeline, plan, folder, guidance_scale=guidance)
    for row in plan.table.iloc[[0, 7, 15]].itertuples():
        latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(row.seed))
        plain = pipeline(
            row.prompt,
            latents=latents[None],
            guidance_scale=guidance,
            num_inference_steps=STEPS,
            output_type="np",
        ).images[0]
        ours = np.asarray(Image.open(folder / row.file_name), dtype=float) / 255
        # Half a level of rounding to 8 bits, and what a batch of another size rounds otherwise.
        np.testing.assert_allclose(ours, plain, atol=0.5 / 255 + 1e-5)


def test_the_folder_describes_every_picture(plan, base):
    metadata = read_metadata(base)
    assert metadata.drop(columns="key").equals(plan.table)
    assert metadata["key"].is_unique
    assert {path.relative_to(base).as_posix() for path in base.rglob("*.png")} == set(
        plan.table["file_name"]
    )
    first = json.loads((base / "metadata.jsonl").read_text().splitlines()[0])
    assert first["file_name"] == plan.table["file_name"][0]


class ByCoin(Intervention):
    """Say one of two genders, by the seed's parity."""

    def conditions(self, prompts, seeds):
        return [
            Condition(prompt.replace("a nurse", ("a female nurse", "a male nurse")[seed % 2]))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]


class Dampen(Intervention):
    """Shrink what the denoiser predicts for the prompts of one route; the rest goes as it was."""

    def conditions(self, prompts, seeds):
        return [
            Condition(prompt, "dampened" * (seed % 2))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    def signature(self, condition):
        return condition.route

    @contextmanager
    def denoising(self, pipeline, conditions):
        is_on = torch.tensor([bool(condition.route) for condition in conditions]).repeat(2)

        def shrink(module, inputs, output):
            return (torch.where(is_on[:, None, None, None], 0.9 * output[0], output[0]),)

        handle = pipeline.unet.register_forward_hook(shrink)
        try:
            yield
        finally:
            handle.remove()


def test_a_method_may_say_other_words_for_each_picture(pipeline, plan, base, tmp_path):
    table = make(pipeline, plan, tmp_path / "coin", intervention=ByCoin())
    said = [condition.prompt for condition in ByCoin().conditions(table["prompt"], table["seed"])]
    assert "a photo of a nurse" not in said
    spelled = GenerationPlan(plan.table.assign(prompt=said))
    make(pipeline, spelled, tmp_path / "spelled")
    assert table["key"].tolist() == read_metadata(tmp_path / "spelled")["key"].tolist()
    for name in table["file_name"]:
        images = [(tmp_path / folder / name).read_bytes() for folder in ("coin", "spelled")]
        assert images[0] == images[1]


@pytest.mark.parametrize(
    ("method", "is_touched"),
    [
        (StateCorrection(Halve()), lambda table: table["subject"] == "nurse"),
        (Dampen(), lambda table: table["seed"] % 2 == 1),
    ],
    ids=["states", "denoiser"],
)
def test_a_method_changes_the_pictures_of_its_conditions_only(
    pipeline, plan, base, tmp_path, method, is_touched
):
    table = make(pipeline, plan, tmp_path, intervention=method, reuse=base)
    is_changed = table["key"] != read_metadata(base)["key"]
    assert is_changed.equals(is_touched(plan.table))
    assert 0 < is_changed.sum() < len(plan)
    for name, changed in zip(table["file_name"], is_changed, strict=True):
        is_same = (tmp_path / name).read_bytes() == (base / name).read_bytes()
        assert is_same != changed
    assert not pipeline.unet._forward_hooks


def test_a_correction_that_does_nothing_computes_nothing(pipeline, plan, base, tmp_path):
    before = pipeline.unet.forward
    pipeline.unet.forward = None  # any denoising would raise
    try:
        make(pipeline, plan, tmp_path, intervention=StateCorrection(Nothing()), reuse=base)
    finally:
        pipeline.unet.forward = before
    assert contents(tmp_path) == contents(base)


def test_other_settings_make_other_pictures_in_place(pipeline, plan, base, tmp_path):
    make(pipeline, plan, tmp_path, n_steps=1)
    keys = read_metadata(tmp_path)["key"]
    make(pipeline, plan, tmp_path)
    assert not set(keys) & set(read_metadata(tmp_path)["key"])
    assert contents(tmp_path) == contents(base)


def test_pictures_of_a_larger_plan_are_removed_and_files_of_others_stay(
    pipeline, plan, base, tmp_path, lexicon
):
    make(pipeline, GenerationPlan.build(lexicon, n_images=9, seed=7), tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "mine.png")
    make(pipeline, plan, tmp_path)
    found = contents(tmp_path)
    found.pop("mine.png")
    assert found.keys() == contents(base).keys()


# The model's folder


def test_a_pipeline_without_a_part_is_refused(pipeline_folder, tmp_path):
    folder = copy_links(pipeline_folder, tmp_path / "model")
    (folder / "unet").unlink()
    with pytest.raises(ModelError, match="has no unet; needed a StableDiffusionPipeline"):
        load_pipeline(folder)


def test_a_pipeline_of_an_unknown_class_is_refused(pipeline_folder, tmp_path):
    folder = copy_links(pipeline_folder, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").unlink()
    index["_class_name"] = "CrayonPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(
        ModelError,
        match=r"holds a CrayonPipeline; needed a text-to-image .*StableDiffusionPipeline",
    ):
        load_pipeline(folder)


def test_the_folder_says_how_it_is_meant_to_be_used(tmp_path):
    assert generation_settings(tmp_path) == GenerationSettings(7.5, 50)
    text = json.dumps({"guidance_scale": 2.0, "num_inference_steps": 12})
    (tmp_path / "generation.json").write_text(text)
    assert generation_settings(tmp_path) == GenerationSettings(2.0, 12)
    (tmp_path / "generation.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged"):
        generation_settings(tmp_path)


def copy_links(source: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    return folder
