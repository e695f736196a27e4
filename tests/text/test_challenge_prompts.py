import re

from probe.text.challenge_prompts import (
    CHALLENGES,
    KINDS,
    LESSONS,
    PromptTemplates,
    subjects_by_split,
)
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet

SUBJECTS = subjects_by_split(PromptSet.build(Lexicon.load()))
TESTED, TAUGHT = PromptTemplates.load(), PromptTemplates.load(LESSONS)


def test_no_template_prompt_or_test_occupation_of_the_challenge_is_taught():
    lexicon = Lexicon.load()
    tested = TESTED.prompts(SUBJECTS, split="test")
    taught = TAUGHT.prompts(SUBJECTS, split="train")
    of_train = lexicon.templates["train"]
    known = {*taught["template"], *of_train.neutral, *of_train.explicit}
    assert not set(tested["template"]) & known
    assert not set(tested["prompt"]) & set(taught["prompt"])
    assert set(taught["subject"]) <= {"", *SUBJECTS["train"]}


def test_no_name_noun_or_thing_of_the_challenge_is_taught():
    taught = {
        word.lower()
        for prompt in TAUGHT.prompts(SUBJECTS, split="train")["prompt"]
        for word in re.findall(r"[\w-]+", prompt)
    }
    for side in ("male", "female"):
        for slot in ("name", "noun"):
            assert not {word.lower() for word in TESTED.words[side][slot]} & taught
    for slot in ("thing", "place", "season"):
        assert not {word.lower() for word in TESTED.words["any"][slot]} & taught


def test_every_slot_of_every_template_has_words():
    for path in (*CHALLENGES.values(), LESSONS):
        table = PromptTemplates.load(path).prompts(SUBJECTS, split="train")
        assert set(table["kind"]) == set(KINDS)
        assert not table["prompt"].str.contains("[{}]").any()


def test_every_category_and_kind_is_there_and_genders_are_equally_many():
    table = TESTED.prompts(SUBJECTS, split="test")
    assert set(table["kind"]) == set(KINDS)
    assert {"paraphrases", "negations", "names"} == set(table.loc[table["is_hard"], "category"])
    explicit = table[table["kind"] == "explicit"]
    counts = explicit["gender"].value_counts()
    assert counts["male"] == counts["female"]
    assert set(table.loc[table["kind"] != "explicit", "gender"]) == {""}
    assert table["prompt"].is_unique


def test_explicit_prompts_of_the_two_genders_differ_in_words_of_gender_alone():
    table = TESTED.prompts(SUBJECTS, split="test")
    explicit = table[(table["kind"] == "explicit") & (table["category"] == "paraphrases")]
    for _, pair in explicit.groupby(["template", "subject"]):
        swap = {"woman": "man", "girl": "boy", "female": "male"}
        words = [[swap.get(w, w) for w in re.findall(r"\w+", p)] for p in pair["prompt"]]
        assert words[0] == words[1]


def test_a_fraction_of_the_occupations_begins_with_another_one_each_time():
    table = TAUGHT.prompts(SUBJECTS, split="train", every=2)
    of = table[table["subject"] != ""].groupby("template")["subject"].nunique()
    assert of.max() == -(-len(SUBJECTS["train"]) // 2)
    assert set(table["subject"]) == {"", *SUBJECTS["train"]}


def test_levels_rise_and_come_in_pairs():
    table = TESTED.by_level(SUBJECTS)
    order = table["level"].drop_duplicates().tolist()
    assert order == ["none", "name", "pronoun", "hint", "adjective", "noun"]
    counts = table.groupby(["level", "gender"]).size()
    for level in order[1:]:
        assert counts[level, "male"] == counts[level, "female"]
    assert set(table.loc[table["level"] == "none", "gender"]) == {""}
