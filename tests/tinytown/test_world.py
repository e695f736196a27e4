import numpy as np
import pytest

from probe.text.lexicon import Lexicon
from probe.tinytown.occupations import OUTFITS, TOOLS
from probe.tinytown.renderer import render, render_all
from probe.tinytown.world import AGES, GENDERS, SKINS, THINGS, Scene, Town


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.load()


def test_every_occupation_has_an_outfit_and_a_tool(lexicon):
    names = {job.name for job in lexicon.occupations}
    assert names == set(OUTFITS) == set(TOOLS)
    assert {thing for of in lexicon.objects.values() for thing in of} == set(THINGS)


def test_an_unknown_occupation_is_refused_by_name(lexicon):
    from dataclasses import replace

    astronaut = replace(lexicon.occupations[0], name="astronaut")
    with pytest.raises(ValueError, match="astronaut"):
        Town(replace(lexicon, occupations=(astronaut,)), seed=0)


def test_neutral_captions_follow_the_planted_share_and_explicit_ones_are_balanced(lexicon):
    town = Town(lexicon, seed=3)
    drawn = [town.captioned(explicit_share=0.38) for _ in range(20_000)]
    people = [(scene, caption) for scene, caption in drawn if scene.is_person]
    says_gender = np.array([bool(_gendered_words(caption)) for _, caption in people])
    assert says_gender.mean() == pytest.approx(0.38, abs=0.015)  # four standard errors
    is_woman = np.array([scene.gender == "woman" for scene, _ in people])
    assert is_woman[says_gender].mean() == pytest.approx(0.5, abs=0.025)
    nurses = np.array([scene.subject == "nurse" for scene, _ in people])
    assert is_woman[nurses & ~says_gender].mean() == pytest.approx(0.90, abs=0.07)


def _gendered_words(caption):
    words = {"woman", "lady", "girl", "female", "man", "gentleman", "boy", "male"}
    return words & set(caption.replace("-", " ").split())


def test_a_caption_never_says_the_wrong_gender(lexicon):
    town = Town(lexicon, seed=4)
    female = {"woman", "lady", "girl", "female"}
    for _ in range(3000):
        scene, caption = town.captioned(explicit_share=0.5)
        said = _gendered_words(caption)
        assert not said or (said <= female) == (scene.gender == "woman")


def test_attributes_are_independent_of_each_other(lexicon):
    town = Town(lexicon, seed=5)
    scenes = [town.person(share_women=0.5) for _ in range(12_000)]
    for values, attribute in ((GENDERS, "gender"), (AGES, "age"), (SKINS, "skin")):
        counts = [sum(getattr(s, attribute) == v for s in scenes) for v in values]
        np.testing.assert_allclose(np.array(counts) / 12_000, 1 / len(values), atol=0.02)
    old_women = sum(s.gender == "woman" and s.age == "old" for s in scenes) / 12_000
    assert old_women == pytest.approx(1 / 6, abs=0.015)


def test_the_same_seed_draws_the_same_town(lexicon):
    one, two = (Town(lexicon, seed=9) for _ in range(2))
    assert [one.captioned(explicit_share=0.4) for _ in range(50)] == [
        two.captioned(explicit_share=0.4) for _ in range(50)
    ]


def test_a_scene_always_gives_the_same_picture():
    scene = Scene("nurse", "woman", "old", "brown", style=12)
    assert render(scene).size == (64, 64)
    np.testing.assert_array_equal(np.asarray(render(scene)), np.asarray(render(scene)))


@pytest.mark.parametrize(
    ("attribute", "other"), [("gender", "man"), ("age", "young"), ("skin", "dark")]
)
def test_every_attribute_changes_the_picture(attribute, other):
    from dataclasses import replace

    scene = Scene("teacher", "woman", "old", "light", style=5)
    before, after = render_all([scene, replace(scene, **{attribute: other})]).astype(int)
    assert np.abs(before - after).max(axis=2).__gt__(24).mean() > 0.01


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
