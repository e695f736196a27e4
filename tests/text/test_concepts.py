"""A concept is what its file says, and a wrong file is refused by key."""

import numpy as np
import pytest

from probe.errors import DataError
from probe.text.concepts import FOLDER, Concept, concept_names
from probe.text.lexicon import Lexicon
from probe.text.prompts import ConceptPrompts
from probe.text.vectors import NamedVectors

SMALL = """\
name = "age"
templates = [
    "a photo of a {word} person",
    "a {word} {target}",
    "a {target}",
]
pairs = [["young", "old"], ["youthful", "elderly"]]

[groups]
young = ["young", "youthful"]
old = [
    "old",
    "elderly",
    "aged",
]

[targets]
auditor = { old = 0.25 }
"truck driver" = {}
"""


@pytest.fixture
def load(written):
    """Load the small concept with one piece of its text replaced."""

    def load(old="", new=""):
        assert old in SMALL
        return Concept.load(written("mine.toml", SMALL.replace(old, new, 1)))

    return load


def vectors_of(names, n_features=4):
    matrix = np.random.default_rng(0).standard_normal((len(names), n_features))
    return NamedVectors(tuple(names), matrix.astype(np.float32), "words.txt")


def test_a_file_becomes_a_concept(load):
    assert load() == Concept(
        name="age",
        groups={"young": ("young", "youthful"), "old": ("old", "elderly", "aged")},
        pairs=(("young", "old"), ("youthful", "elderly")),
        templates=("a photo of a {word} person", "a {word} {target}", "a {target}"),
        targets={"auditor": {"old": 0.25}, "truck driver": {}},
        source="mine.toml",
    )


def test_name_and_groups_are_enough(written):
    path = written("few.toml", 'name = "k"\n[groups]\na = ["x"]\nb = ["y"]\nc = ["z"]\n')
    prompts = ConceptPrompts.build(Concept.load(path))
    assert prompts.prompts == ["x", "y", "z"]
    with pytest.raises(DataError, match=r"concept 'k' has no pairs; add pairs to few\.toml"):
        prompts.pairs()


def test_the_table_says_what_each_prompt_is(load):
    prompts = ConceptPrompts.build(load())
    columns = ["prompt", "group", "word", "pair", "target", "share_old"]
    assert prompts.table[columns].fillna(-1).to_numpy().tolist() == [
        ["a photo of a young person", "young", "young", 0, "", -1.0],
        ["a photo of a youthful person", "young", "youthful", 1, "", -1.0],
        ["a photo of an old person", "old", "old", 0, "", -1.0],
        ["a photo of an elderly person", "old", "elderly", 1, "", -1.0],
        ["a photo of an aged person", "old", "aged", -1, "", -1.0],
        ["a young auditor", "young", "young", 2, "auditor", 0.25],
        ["a youthful auditor", "young", "youthful", 3, "auditor", 0.25],
        ["an old auditor", "old", "old", 2, "auditor", 0.25],
        ["an elderly auditor", "old", "elderly", 3, "auditor", 0.25],
        ["an aged auditor", "old", "aged", -1, "auditor", 0.25],
        ["a young truck driver", "young", "young", 4, "truck driver", -1.0],
        ["a youthful truck driver", "young", "youthful", 5, "truck driver", -1.0],
        ["an old truck driver", "old", "old", 4, "truck driver", -1.0],
        ["an elderly truck driver", "old", "elderly", 5, "truck driver", -1.0],
        ["an aged truck driver", "old", "aged", -1, "truck driver", -1.0],
        ["an auditor", "neutral", "", -1, "auditor", 0.25],
        ["a truck driver", "neutral", "", -1, "truck driver", -1.0],
    ]
    assert set(prompts.table["concept"]) == {"age"}
    assert {name: rows.tolist() for name, rows in prompts.targets().items()} == {
        "auditor": [15],
        "truck driver": [16],
    }


@pytest.mark.parametrize("name", concept_names())
def test_a_shipped_concept_has_every_prompt_once_and_pairs_that_differ_in_their_word(name):
    concept = Concept.load(name)
    prompts = ConceptPrompts.build(concept)
    assert concept.source == f"{name}.toml"
    assert len(set(prompts.prompts)) == len(prompts)
    assert sum(map(len, prompts.groups().values())) < len(prompts)
    assert all(len(rows) >= 2 for rows in (*prompts.groups().values(), *prompts.targets().values()))
    said = {word.casefold() for words in concept.groups.values() for word in words}
    for row in np.concatenate(list(prompts.targets().values())):
        assert not said & set(prompts.prompts[row].casefold().split())
    if not concept.pairs:
        return
    table = prompts.table
    for first, second in zip(*prompts.pairs(), strict=True):
        assert table["template"][first] == table["template"][second]
        assert table["target"][first] == table["target"][second]
        assert (table["word"][first], table["word"][second]) in concept.pairs


def test_the_shipped_concepts_are_the_four_promised():
    assert concept_names() == [
        "age",
        "gender",
        "perceived_race",
        "religion",
        "skin_tone",
        "three_genders",
    ]
    assert len(Concept.load("religion").groups) == 5


def test_gender_points_to_male_and_has_the_shares_of_the_lexicon():
    concept = Concept.load("gender")
    assert list(concept.groups) == ["male", "female"]
    ours = {name: of["female"] for name, of in concept.targets.items()}
    assert ours == {job.name: job.share_women for job in Lexicon.load().occupations}


@pytest.mark.parametrize(
    ("old", "new", "found", "needed"),
    [
        ("templates", "template", "template is unknown (did you mean 'templates'?)", "one of name"),
        (', ["youthful", "elderly"]', "", "pairs has one pair only", "at least two"),
        ('["young", "old"]', '["young", "olt"]', "(did you mean 'old'?)", "words of the groups"),
        ('["young", "old"]', '["old", "young"]', "pairs[0] joins 'old'", "the order of [groups]"),
        ('["young", "old"]', '["young", "youthful"]', "joins 'young' and 'young'", "two groups"),
        ('["young", "old"]', '["young", "elderly"]', "pairs has 'elderly' twice", "each name once"),
        ('["young", "old"]', '["young"]', "pairs[0] is ['young']", "a list of two words"),
        ('young = ["young", "youthful"]', "", "groups has 1 groups", "at least two"),
        ('    "aged"', '    "old"', "groups.old has 'old' twice", "each name once"),
        ("young = [", "neutral = [", "groups.neutral", "another name"),
        ("young = [", "pairs = [", "groups.pairs", "keys stand above [groups]"),
        ("a {target}", "a person", "templates[2] is 'a person' with the slots []", "{word}, {tar"),
        ("a {target}", "{word}, a {word}", "the slots ['word', 'word']", "one of each"),
        ("old = 0.25", "olde = 0.25", "auditor.olde is unknown (did you mean 'old'?)", "young or"),
        ("old = 0.25", "old = 0.6, young = 0.6", "add up to 1.2", "at most 1"),
        ("auditor = ", "Aged = ", "targets has 'Aged'", "words that are in no group"),
        ('"truck driver"', "Auditor", "targets has 'Auditor' twice", "each name once"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_key_and_what_was_needed(
    load, tmp_path, old, new, found, needed
):
    with pytest.raises(DataError) as caught:
        load(old, new)
    message = str(caught.value)
    assert str(tmp_path / "mine.toml") in message
    before, _, after = message.partition("; needed ")
    assert found in before
    assert needed in after
    assert message.endswith("correct the file")
    assert "\n" not in message


def test_a_concept_whose_templates_reach_no_group_is_refused(written):
    text = 'name = "k"\ntemplates = ["{word} {target}"]\n[groups]\na = ["x"]\nb = ["y"]\n'
    with pytest.raises(DataError, match=r"needed one without {target}"):
        Concept.load(written("a.toml", text))


def test_an_unknown_name_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no concept 'gendr' \(did you mean 'gender'\?\)"):
        Concept.load("gendr")
    with pytest.raises(DataError, match=r"none\.toml cannot be read"):
        Concept.load(tmp_path / "none.toml")
    assert Concept.load(FOLDER / "age.toml") == Concept.load("age")


def test_words_are_found_exactly_then_without_regard_to_case_and_underscores(load):
    names = ["Young", "young", "OLD", "old ", "Elderly", "Truck_Driver", "auditor"]
    assert load().names_in(vectors_of(names)) == {
        "young": "young",
        "old": "OLD",
        "elderly": "Elderly",
        "auditor": "auditor",
        "truck driver": "Truck_Driver",
    }


def test_a_group_without_a_word_and_two_words_that_are_one_name_are_refused(load):
    with pytest.raises(DataError, match=r"words\.txt has none of the words of group 'young'"):
        load().names_in(vectors_of(["old", "elderly"]))
    concept = Concept("k", {"a": ("old man",), "b": ("old_man",)})
    with pytest.raises(DataError, match=r"'old man' and 'old_man' .* are both the name 'Old_Man'"):
        concept.names_in(vectors_of(["Old_Man", "x"]))
