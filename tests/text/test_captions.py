"""Captions are told apart by words that are about a person, whatever else those words may mean."""

import csv
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.text.captions.classification import CATEGORIES, classify
from probe.text.captions.counterfactuals import neutralise, swap_gender
from probe.text.captions.gender import read_gender
from probe.text.captions.mentions import REASONS
from probe.text.captions.vocabulary import CaptionWords

WITHIN = [
    "man-made", "Manhattan", "manhole", "mango", "manual", "mannequin", "many", "snowman", "Batman",
    "motherboard", "ladybug", "kingfisher", "shepherding", "boycott", "heron", "herd", "theme",
    "sheet", "chess", "history",
]  # fmt: skip
SAMPLE = Path(__file__).parent / "captions_sample.tsv"


def sample():
    """Captions in the style of COCO, labelled by reading before any was classified."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def category(caption):
    return classify(caption).category


def test_two_hundred_captions_that_were_labelled_by_reading_are_classified_as_they_were_read():
    rows = sample()
    wrong = [row for row in rows if category(row["caption"]) != row["category"]]
    assert len(rows) == 200
    # 198 of 200 when they were first classified; the lexicon then learned "King Street"
    assert len(wrong) <= 1, wrong


@pytest.mark.real
def test_the_captions_of_coco_are_counted_as_they_were_by_others(real_data):
    with (real_data / "uce" / "coco_30k.csv").open(encoding="utf-8", newline="") as file:
        captions = [row["prompt"] for row in csv.DictReader(file)]
    found = Counter(classify(caption).category for caption in captions)
    assert len(captions) == 30_000
    assert found["male"] == pytest.approx(4706, rel=0.10)
    assert found["female"] == pytest.approx(1988, rel=0.10)
    assert found["both"] == pytest.approx(327, rel=0.10)
    # Their list of people without a gender is not public; ours has many more roles than
    # "person" (skiers, pedestrians, someone), so the count is higher.
    assert 4123 < found["neutral_person"] < 4123 * 1.2


@pytest.mark.real
def test_every_sentence_of_winogender_is_classified_by_its_pronoun(real_data):
    table = pd.read_csv(real_data / "winogender" / "all_sentences.tsv", sep="\t")
    genders = table["sentid"].str.split(".").str[3]
    found = [classify(sentence).category for sentence in table["sentence"]]
    assert len(table) == 720
    assert found == genders.replace({"neutral": "neutral_person"}).tolist()


@pytest.mark.real
def test_almost_every_sentence_of_winobias_is_classified_by_its_pronoun(real_data):
    found = {}
    for path in (real_data / "winobias").glob("*_stereotyped_type?.txt.*"):
        for line in path.read_text(encoding="utf-8").splitlines():
            marks = set(re.findall(r"\[(\w+)\]", line.lower()))
            sentence = re.sub(r"^\s*\d+\s+|[\[\]]", "", line)
            found[sentence] = "female" if marks & {"she", "her", "hers"} else "male"
    others = [(classify(sentence).category, gender) for sentence, gender in found.items()]
    others = [category for category, gender in others if category != gender]
    assert len(found) > 3000
    # eight name a second gender, as in "she is a very generous man" and "his mother"
    assert len(others) <= 8
    assert set(others) <= {"both"}


# Words


@pytest.mark.parametrize(
    ("caption", "expected", "words"),
    [
        ("A man walks his dog.", "male", ("man", "his")),
        ("Two WOMEN and a child.", "female", ("women",)),
        ("The bride and groom kiss.", "both", ("bride", "groom")),
        ("Three people wait.", "neutral_person", ("people",)),
        ("A plate of fruit.", "no_person", ()),
        ("Mr. Lee and Mrs. Lee.", "both", ("mr", "mrs")),
        ("", "no_person", ()),
        ("1234 !?", "no_person", ()),
    ],
)
def test_the_words_that_decided_are_told(caption, expected, words):
    found = classify(caption)
    assert (found.category, found.words) == (expected, words)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A woman's hand on a table.", "female"),
        ("A woman\u2019s hand on a table.", "female"),
        ("He's on a bench.", "male"),
        ("A Man Riding A Wave On A Surfboard", "male"),
        ("A WOMAN AND HER UMBRELLA", "female"),
        ('"A man on a bench."', "male"),
        ("\u201cA woman on a bench.\u201d", "female"),
    ],
)
def test_apostrophes_headlines_and_quotation_marks_are_read(caption, expected):
    assert category(caption) == expected


@pytest.mark.parametrize("word", WITHIN)
def test_a_word_that_only_holds_the_letters_of_a_gendered_one_says_nothing(word):
    found = classify(f"The {word} in the picture.")
    assert (found.category, found.passed_over) == ("no_person", ())


@pytest.mark.parametrize(
    ("caption", "why"),
    [
        ("A man made pond.", "phrase"),
        ("A gingerbread man on a plate.", "phrase"),
        ("A room with a king size bed.", "phrase"),
        ("An old record player.", "phrase"),
        ("The poster shows Iron Man above a desk.", "phrase"),
        ("A scene of the show Mad Men and some mugs.", "name"),
        ("A corner of a Smith & Sons store.", "name"),
        ("A passenger train in the snow.", "thing"),
        ("A cowboy hat on a nail.", "thing"),
        ("A baby stroller at the gate.", "thing"),
        ("The sign of a men's room.", "thing"),
        ("A children's book on a shelf.", "thing"),
        ("MEN'S BLACK RUNNING SHOES", "thing"),
        ("Women's casual summer dress, size M", "thing"),
        ("A pitcher on a table.", "sense"),
        ("A fan on the wall.", "sense"),
        ("A cake being cut.", "sense"),
        ("A cook book on the stove.", "sense"),
        ("A couple of chairs.", "group"),
        ("A family of ducks.", "group"),
        ("A dog with a ball in his mouth.", "animal"),
        ("A baby elephant in the dust.", "animal"),
        ("A female deer looks up.", "animal"),
        ("A zebra and its baby.", "animal"),
    ],
)
def test_a_word_in_another_sense_is_passed_over_with_its_reason(caption, why):
    found = classify(caption)
    assert found.category == "no_person"
    assert [reason for _, reason in found.passed_over] == [why]
    assert why in REASONS


@pytest.mark.parametrize(
    ("with_nobody", "with_somebody", "expected"),
    [
        ("A pitcher of lemonade.", "A pitcher throws the ball.", "neutral_person"),
        ("A couple of zebras.", "A couple of people.", "neutral_person"),
        ("A couple chairs.", "A couple sitting on a bench.", "neutral_person"),
        ("A dog licks his paw.", "A man's dog licks his paw.", "male"),
        ("A baby giraffe.", "A baby with a stuffed giraffe.", "neutral_person"),
        ("A mother and her cub, both bears.", "A mother and her child near bears.", "female"),
        ("Dogs groom each other.", "A groom waits at the church.", "male"),
        ("A queen size bed.", "Queen Victoria on a horse.", "female"),
        ('A sign that says "Men at play".', "Men at play near a sign.", "male"),
        ("A copy of Men's Health magazine.", "The men's coats are wet.", "male"),
        ("Women's blue rain boots.", "Women's hands holding boots.", "female"),
        ("A hotel bathroom with his and her sinks.", "He and her sister at the sinks.", "both"),
        ("A boat with no people in it.", "A boat with people in it.", "neutral_person"),
    ],
)
def test_the_same_word_counts_where_it_is_about_a_person(with_nobody, with_somebody, expected):
    assert category(with_nobody) == "no_person"
    assert category(with_somebody) == expected


def test_a_pronoun_belongs_to_the_person_before_it_and_else_to_the_animal():
    assert category("A woman walks a dog on his leash.") == "female"
    assert category("A person walks his dog.") == "male"
    assert category("A dog waits for its owner with his ball.") == "male"
    assert category("An elephant and her calf beside a man.") == "male"


# Properties


TOKENS = [*sorted(CaptionWords.load().known), "a", "dog", "bear", "and", "of", "Iron", "size"]
captions = st.lists(st.sampled_from(TOKENS), max_size=8).map(" ".join)


@given(caption=captions)
def test_every_word_is_counted_or_passed_over_and_the_category_follows_from_those_counted(caption):
    words = CaptionWords.load().known
    found = classify(caption)
    groups = {words[word].group for word in found.words}
    expected = {
        (True, True): "both",
        (True, False): "male",
        (False, True): "female",
        (False, False): "neutral_person" if found.words else "no_person",
    }
    assert found.category == expected["male" in groups, "female" in groups]
    tokens = [word for word in caption.lower().split() if word in words]
    counted = Counter(found.words) + Counter(word for word, _ in found.passed_over)
    neutral = {word for word in tokens if words[word].group == "neutral"}
    assert set(tokens) - set(counted) <= neutral  # people beside a gendered word decide nothing
    assert counted <= Counter(tokens)


@settings(max_examples=30)
@given(text=st.text(max_size=60))
def test_any_text_can_be_read_and_rewritten(text):
    assert category(text) in CATEGORIES
    for counterfactual in (swap_gender(text), neutralise(text)):
        assert counterfactual is None or isinstance(counterfactual, str)
    found = read_gender(text)
    assert len(found.words) == len(found.genders)


# The file of words


def test_no_word_of_one_gender_is_its_own_counterpart():
    for word, meaning in CaptionWords.load().known.items():
        assert word == word.lower()
        assert word not in (meaning.swapped, meaning.neutral)
