import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.text.captions.classification import classify
from probe.text.captions.gender import read_gender
from probe.text.captions.vocabulary import FILES, GENDERS, GenderWords, fold

LISTS = GenderWords.load()
CURATED = set(LISTS.names) - LISTS.wide
COMMON = sorted(CURATED - LISTS.caution["words"] - LISTS.caution["places"])


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("Jennifer, a carpenter", ["Jennifer"]),
        ("a photo of jennifer working as a carpenter", ["jennifer"]),
        ("PORTRAIT OF JOSÉ", ["JOSÉ"]),
        ("a carpenter who is not a man", ["man"]),
        ("anything except a female nurse", ["female"]),
        ("the nurse and his hat", ["his"]),
        ("Miss Lindqvist, a judge", ["Miss"]),
        ("a photo of Mr Lindqvist", ["Mr"]),
        ("our CEO Daniel before lunch", ["Daniel"]),
        ("Mark is a nurse", ["Mark"]),
        ("Rose, a judge", ["Rose"]),
        ("a portrait of Victoria", ["Victoria"]),
        ("King George and a nurse", ["King", "George"]),
        ("a woman's face", ["woman's"]),
        ("a godmother", ["godmother"]),
        ("she's a nurse", ["she's"]),
        ("Jennifer's a nurse", ["Jennifer's"]),
        ("the man's in red", ["man's"]),
        ("Maria's tired face", ["Maria's"]),
        ("Ngozi working as a nurse", ["Ngozi"]),
        ("a photo of Soledad, a nurse", ["Soledad"]),
        ("a carpenter by the name of Zbigniew", ["Zbigniew"]),
        ("a nurse helped by Maria", ["Maria"]),
        ("a non-male nurse", ["non-male"]),
        ("Ngozi's last shift as a nurse", ["Ngozi's"]),
        ("Sergei's nervous morning as a nurse", ["Sergei's"]),
        ("a bearded nurse", ["bearded"]),
        ("a carpenter in a long skirt", ["skirt"]),
    ],
)
def test_words_that_say_a_gender_are_found(prompt, words):
    assert read_gender(prompt).words == tuple(words)


@pytest.mark.parametrize(
    ("prompt", "passed"),
    [
        ("a nurse in Paris", []),
        ("a nurse in June", []),
        ("a nurse in April, or in spring", []),
        ("Jordan, a nurse", []),
        ("Alex, a nurse", []),
        ("a nurse and their hat", []),
        ("a man-made lake", []),
        ("mother nature", [("mother", "phrase")]),
        ("a male connector", [("male", "thing")]),
        ("a female socket", [("female", "thing")]),
        ("a nurse in Virginia", [("Virginia", "place")]),
        ("a nurse in Santa Barbara", [("Santa", "place"), ("Barbara", "thing")]),
        ("a nurse near St. Paul's Cathedral", [("Paul's", "thing")]),
        ("a nurse on James Street", [("James", "thing")]),
        ("Maria's hat", [("Maria's", "thing")]),
        ("a table at Maria's", [("Maria's", "thing")]),
        ("a woman's hat", [("woman's", "thing")]),
        ("a woman's red hat on a chair", [("woman's", "thing")]),
        ("a rose in a vase", [("rose", "word")]),
        ("mark the spot", [("mark", "word")]),
        ("the work of Taylor Thomas as a carpenter", [("Thomas", "surname")]),
        ("a photo of gunhild, a nurse", [("gunhild", "word")]),
        ("a nurse in Soledad", [("Soledad", "place")]),
        ("a nurse, art by Greg Rutkowski", [("Greg", "author")]),
        ("a nurse, by Maria", [("Maria", "author")]),
        ("a street with no one in it", [("no one", "absent")]),
        ("a beach without people", [("people", "absent")]),
        ("an empty chair", [("empty", "absent")]),
        ("a long skirt on a chair", []),
        ("a nurse in the style of Edgar Degas", [("Edgar", "author")]),
    ],
)
def test_words_that_say_none_are_passed_over_with_a_reason(prompt, passed):
    found = read_gender(prompt)
    assert not found.words
    assert list(found.passed_over) == passed


@given(st.sampled_from(COMMON), st.booleans())
def test_a_name_is_read_with_its_gender_whatever_its_capital(name, is_capital):
    found = read_gender(f"a photo of {name.capitalize() if is_capital else name}, a nurse")
    assert found.genders == (LISTS.names[name],)


@given(st.lists(st.sampled_from(["a", "man", "Maria", "in", "Virginia's", "his", "Rose", "nurse"])))
def test_a_caption_that_says_a_gender_to_captions_says_it_here(words):
    prompt = " ".join(words).replace("Virginia's", "dog's")
    said = [word for word in classify(prompt).words if word not in ("nurse",)]
    assert set(said) <= {word.lower() for word in read_gender(prompt).words}


def test_no_name_of_both_genders_month_city_or_english_word_stands_on_the_list():
    both = "alex sam robin kim jordan taylor jamie casey morgan jean andrea simone leslie chris"
    months = "april may june august january summer autumn winter"
    cities = "paris london berlin rome madrid nairobi boston chicago dallas"
    assert not set(LISTS.names) & set(f"{both} {months} {cities}".split())
    assert not LISTS.wide & {"art", "major", "canon", "deco", "queen", "mercy", "sunny"}


def test_the_lists_hold_names_of_both_genders_from_many_places():
    places = tomllib.loads(FILES[1].read_text("utf-8"))["given_names"]
    assert len(places) >= 15
    male, female = ({fold(n) for of in places for n in of[key].split()} for key in GENDERS)
    assert not male & female
    counts = [list(LISTS.names.values()).count(gender) for gender in GENDERS]
    assert min(counts) > 7000
    assert LISTS.caution["words"] | LISTS.caution["places"] <= CURATED
    assert len(CURATED) < 2200


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a photo of Xqwerty, a nurse", ("Xqwerty",)),
        ("Xqwerty, a nurse", ("Xqwerty",)),
        ("Photo of a nurse", ()),
        ("a CEO in Xqwerty", ()),
        ("a nurse on James Street", ()),
        ("a photo of Maria", ()),
        ("A Photo Of Xqwerty As A Nurse", ()),
    ],
)
def test_a_capital_on_no_list_may_be_a_name(prompt, unknown):
    assert read_gender(prompt).unknown == unknown


@pytest.mark.parametrize(
    ("prompt", "people"),
    [
        ("a charcoal drawing of a farmer", ("farmer",)),
        ("two children and their teacher", ("children", "teacher")),
        ("a lighthouse, no people", ()),
        ("a beach without any other people", ()),
        ("a nurse without a hat, no gloves", ("nurse",)),
        ("a passenger train", ()),
        ("a man and a dog", ()),
    ],
)
def test_words_for_a_person_who_is_there_are_found(prompt, people):
    assert read_gender(prompt).people == people


def test_lists_without_a_word_are_the_same_lists_otherwise():
    fewer = LISTS.without(["Maria", "king"])
    assert read_gender("Maria, Anna, a king and a queen", fewer).words == ("Anna", "queen")
    assert len(LISTS.names) - len(fewer.names) == 1


def test_accents_and_capitals_are_no_difference():
    assert [*map(fold, ("José", "Łukasz", "SØREN", "Ağaç"))] == ["jose", "lukasz", "soren", "agac"]
