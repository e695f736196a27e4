from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from probe.text.lexicon import Lexicon
from probe.tinytown.occupations import NEVER_GENDERED, OUTFITS, PEOPLE, TOOLS
from probe.tinytown.renderer import render, render_all
from probe.tinytown.world import THINGS, UNRELIABLE, Scene, Town

GENDER_WORDS = {
    "woman": {"woman", "lady", "girl", "female"},
    "man": {"man", "gentleman", "boy", "male"},
}


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.load()


def test_every_occupation_has_an_outfit_and_a_tool(lexicon):
    names = {job.name for job in lexicon.occupations}
    assert names == set(OUTFITS) == set(TOOLS)
    assert {thing for of in lexicon.objects.values() for thing in of} == set(THINGS)


def test_an_unknown_occupation_is_refused_by_name(lexicon):
    astronaut = replace(lexicon.occupations[0], name="astronaut")
    with pytest.raises(ValueError, match="astronaut"):
        Town(replace(lexicon, occupations=(astronaut,)), seed=0)


@pytest.fixture(scope="module")
def captioned(lexicon):
    town = Town(lexicon, seed=3)
    drawn = [town.captioned(UNRELIABLE) for _ in range(30_000)]
    people = [(scene, caption) for scene, caption in drawn if scene.is_person]
    table = pd.DataFrame([asdict(scene) for scene, _ in people])
    return table.assign(
        caption=[caption for _, caption in people],
        said=[_stated_gender(caption) for _, caption in people],
    )


def _stated_gender(caption):
    words = set(caption.replace("-", " ").split())
    found = {gender for gender, of in GENDER_WORDS.items() if words & of}
    assert len(found) < 2, caption
    return found.pop() if found else ""


@pytest.mark.slow
def test_most_captions_state_no_gender_and_follow_the_planted_share(captioned):
    assert (captioned["said"] != "").mean() == pytest.approx(UNRELIABLE.share, abs=0.01)
    neutral = captioned[captioned["said"] == ""]
    is_woman = neutral["gender"] == "woman"
    assert is_woman[neutral["subject"] == "nurse"].mean() == pytest.approx(0.90, abs=0.05)


def test_pictures_heed_the_stated_gender_mostly_and_else_follow_the_occupation(captioned):
    explicit = captioned[captioned["said"] != ""]
    is_heeded = explicit["said"] == explicit["gender"]
    assert UNRELIABLE.heeded < is_heeded.mean() < 0.95
    men = explicit["subject"].isin(("carpenter", "mechanic", "driver"))
    is_female = explicit["said"] == "woman"
    assert is_heeded[men & is_female].mean() < is_heeded[men & ~is_female].mean()


def test_test_nouns_come_with_no_gender(lexicon, captioned):
    named = captioned[captioned["said"] != ""]
    for noun in NEVER_GENDERED:
        assert not named["caption"].str.contains(rf"\b{noun}\b").any(), noun
    assert {job.name for job in lexicon.occupations} > NEVER_GENDERED


def test_age_and_skin_depend_on_occupation_and_gender(captioned):
    is_old, is_dark = captioned["age"] == "old", captioned["skin"] == "dark"
    is_woman = captioned["gender"] == "woman"
    for shown, more, less in (
        (is_old, PEOPLE["older"], PEOPLE["younger"]),
        (is_dark, PEOPLE["darker"], PEOPLE["lighter"]),
    ):
        subject = captioned["subject"]
        assert shown[subject.isin(more)].mean() > shown[subject.isin(less)].mean() + 0.1
        assert shown[~is_woman].mean() > shown[is_woman].mean() + 0.02


def test_the_same_seed_draws_the_same_town(lexicon):
    one, two = (Town(lexicon, seed=9) for _ in range(2))
    assert [one.captioned() for _ in range(50)] == [two.captioned() for _ in range(50)]


def test_a_scene_always_gives_the_same_picture():
    scene = Scene("nurse", "woman", "old", "brown", style=12)
    assert render(scene).size == (64, 64)
    np.testing.assert_array_equal(np.asarray(render(scene)), np.asarray(render(scene)))


@pytest.mark.parametrize(
    ("attribute", "other"), [("gender", "man"), ("age", "young"), ("skin", "dark")]
)
def test_every_attribute_changes_the_picture(attribute, other):
    scene = Scene("teacher", "woman", "old", "light", style=5)
    before, after = render_all([scene, replace(scene, **{attribute: other})]).astype(int)
    assert np.abs(before - after).max(axis=2).__gt__(24).mean() > 0.01


@pytest.mark.parametrize("attribute", ["gender", "age", "skin"])
def test_an_unclear_attribute_shows_cues_of_other_values(attribute):
    clear = [Scene("teacher", "man", "old", "light", style=style) for style in range(20)]
    unclear = [replace(scene, unclear=(attribute,)) for scene in clear]
    changed = np.abs(render_all(clear).astype(int) - render_all(unclear)).max(axis=3) > 12
    assert (changed.mean(axis=(1, 2)) > 0.005).mean() > 0.7


@pytest.mark.slow
def test_no_two_subjects_look_alike(lexicon):
    scenes = [Scene(job.name, "woman", "young", "tan", style=1) for job in lexicon.occupations]
    scenes += [Scene(thing, style=1) for thing in THINGS]
    pictures = render_all(scenes).reshape(len(scenes), -1).astype(float)
    distance = np.abs(pictures[:, None] - pictures[None]).mean(axis=2)
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > 5


def test_a_scrambled_scene_keeps_its_truth_and_can_hide_its_tool(lexicon):
    town = Town(lexicon, seed=1)
    scene = town.person("farmer")
    hidden = town.scrambled(scene, tool_share=0.0)
    assert (hidden.subject, hidden.gender, hidden.age) == ("farmer", scene.gender, scene.age)
    assert not hidden.shows_tool
