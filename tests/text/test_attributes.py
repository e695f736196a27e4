"""Attributes: which prompts state one, and what classifiers call it."""

import pytest

from probe.errors import DataError
from probe.text.attributes import Attribute
from probe.text.concepts import Concept, load_attributes

AGE, SKIN, RACE = load_attributes("age,skin_tone,perceived_race")


@pytest.mark.parametrize(
    ("prompt", "stated"),
    [
        ("a photo of a nurse", []),
        ("a photo of a female nurse", []),
        ("An Old nurse", ["age"]),
        ("a middle aged nurse", ["age"]),
        ("a 35-year-old nurse", ["age"]),
        ("a photo of a golden nurse", []),  # no word of its own
        ("a dark-skinned nurse", ["skin_tone", "perceived_race"]),
        ("a nurse with pale skin", ["skin_tone", "perceived_race"]),
        ("a Nigerian nurse in dark light", ["skin_tone"]),
        ("an East  Asian nurse", ["skin_tone", "perceived_race"]),
    ],
)
def test_a_prompt_states_an_attribute_by_whole_words(prompt, stated):
    assert [of.name for of in (AGE, SKIN, RACE) if of.is_stated(prompt)] == stated


def test_classifiers_may_call_an_attribute_and_its_values_otherwise():
    known = {"skin": ["light", "tan", "brown", "dark"], "race": ["a"]}
    assert SKIN.seen_by(known) == ("skin", {value: value for value in known["skin"]})
    labels = ["White", "Black", "East Asian", "Southeast Asian", "Indian"]
    found = RACE.seen_by({"race": [*labels, "Middle Eastern", "Latino_Hispanic"]})[1]
    assert (found["white"], found["latino"]) == ("White", "Latino_Hispanic")
    with pytest.raises(DataError, match="knows skin, race but not age"):
        AGE.seen_by(known)
    with pytest.raises(DataError, match="knows race as a, not as white; name another"):
        RACE.seen_by(known)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"young": ("young",)}, "at least two values"),
        ({"young": ("young",), "old": ("young", "old")}, "words of its own"),
        ({"young": ("young",), "o.ld": ("old",)}, "letters, digits, spaces"),
    ],
)
def test_values_that_no_correction_can_have_are_refused(values, says):
    with pytest.raises(DataError, match=says):
        Attribute("age", values)


def test_a_concept_says_what_a_correction_needs(tmp_path):
    path = tmp_path / "hats.toml"
    groups = '[groups]\na = ["cap", "hat"]\nb = ["bare", "bald"]\n[attribute.values]\n'
    text = f'name = "hats"\ntemplates = ["{{word}}"]\n{groups}'
    path.write_text(text + 'hat.words = ["hatted"]\nnone.words = ["bareheaded"]\n')
    assert Concept.load(path).attribute.words == ("hatted", "bareheaded")
    path.write_text(text + 'hat.word = ["hatted"]\n')
    with pytest.raises(DataError, match=r"attribute\.values\.hat\.word is unknown"):
        Concept.load(path)
