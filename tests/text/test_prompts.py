"""Prompts know what they say, and come as pairs that are equal but for gender."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.errors import DataError
from probe.text.lexicon import SPLITS, Lexicon, Occupation, Pair, Templates
from probe.text.prompts import COLUMNS, PromptSet, check_prompt

SMALL = Lexicon(
    occupations=(Occupation("auditor", 0.61, "train", "a source"),),
    pairs=(Pair("man", "woman"),),
    adjectives=(Pair("male", "female"),),
    templates={
        "train": Templates(("a photo of a {subject}",), ("a {person} working as a {subject}",)),
        "validation": Templates(("a {subject}",), ("a {adjective} {subject}",)),
        "test": Templates(("the {subject}",), ("the {adjective} {subject}",)),
    },
    objects={"train": (), "validation": (), "test": ("apple",)},
)


@pytest.fixture(scope="module")
def prompts():
    return PromptSet.build(Lexicon.load())


def test_a_small_lexicon_gives_exactly_these_rows():
    table = PromptSet.build(SMALL).table
    columns = ["prompt", "group", "subject", "pair", "split", "template_split", "share_women"]
    assert table[columns].fillna(-1).to_numpy().tolist() == [
        ["a photo of an auditor", "neutral", "auditor", -1, "train", "train", 0.61],
        ["a man working as an auditor", "male", "auditor", 0, "train", "train", 0.61],
        ["a woman working as an auditor", "female", "auditor", 0, "train", "train", 0.61],
        ["the auditor", "neutral", "auditor", -1, "train", "test", 0.61],
        ["the male auditor", "male", "auditor", 1, "train", "test", 0.61],
        ["the female auditor", "female", "auditor", 1, "train", "test", 0.61],
        ["the apple", "object", "apple", -1, "test", "test", -1.0],
    ]


def test_the_shipped_set_has_every_prompt_once_and_every_subject_in_all_test_templates(prompts):
    assert len(set(prompts.prompts)) == len(prompts)
    assert 700 <= len(prompts) <= 1100
    templates = prompts.measured.select(group="neutral").table.groupby("subject")["template"]
    assert set(templates.agg(tuple)) == {Lexicon.load().templates["test"].neutral}


def test_a_pair_differs_in_one_word_only(prompts):
    male, female = prompts.pairs()
    for m, f in zip(male, female, strict=True):
        his, hers = prompts.prompts[m].split(), prompts.prompts[f].split()
        assert sum(a != b for a, b in zip(his, hers, strict=True)) == 1
    for column in ("subject", "template", "split", "share_women", "pair"):
        values = prompts.table[column].to_numpy()
        np.testing.assert_array_equal(values[male], values[female])


@given(seed=st.integers(0, 2**32 - 1))
def test_pairs_are_found_in_any_order_of_rows(seed):
    shuffled = PromptSet(PromptSet.build(SMALL).table.sample(frac=1, random_state=seed))
    male, female = ([shuffled.prompts[row] for row in rows] for rows in shuffled.pairs())
    assert male == ["a man working as an auditor", "the male auditor"]
    assert female == ["a woman working as an auditor", "the female auditor"]


def test_a_prompt_without_its_counterfactual_is_refused(prompts):
    with pytest.raises(DataError, match="350 male and 0 female prompts that do not pair up"):
        prompts.select(group="male").pairs()
    with pytest.raises(DataError, match="0 male and 0 female"):
        prompts.select(group="neutral").pairs()


def test_select_keeps_what_matches_every_condition(prompts):
    chosen = prompts.select(group=["male", "female"], split="test", subject=["nurse", "cook"])
    assert set(chosen.table["subject"]) == {"nurse"}
    assert set(chosen.table["group"]) == {"male", "female"}
    assert chosen.table.index.tolist() == list(range(len(chosen)))
    assert len(chosen.pairs()[0]) == len(chosen) / 2


def test_training_prompts_have_no_subject_and_no_template_of_another_split(prompts):
    training, others = (
        prompts.take(rows).table for rows in (prompts.is_training, ~prompts.is_training)
    )
    assert set(training["split"]) == set(training["template_split"]) == {"train"}
    assert not set(training["template"]) & set(others["template"])
    subjects = {of: set(prompts.select(split=of).table["subject"]) for of in SPLITS}
    assert [len(names) for names in subjects.values()] == [22 + 4, 6 + 1, 12 + 5]
    assert set(training["subject"]) == subjects["train"]


@pytest.mark.parametrize(
    "condition", [{"group": "femal"}, {"split": "held_out"}, {"subject": "wizard"}]
)
def test_select_refuses_what_there_is_not(prompts, condition):
    with pytest.raises(ValueError, match="is not there; choose from"):
        prompts.select(**condition)


def test_the_hash_is_that_of_the_content(prompts):
    assert prompts.hash == PromptSet.build(Lexicon.load()).hash
    changed = prompts.table.copy()
    changed.loc[3, "share_women"] = 0.021
    assert PromptSet(changed).hash != prompts.hash
    assert PromptSet(prompts.table[::-1]).hash != prompts.hash


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("a nurse\0", "NUL byte"),
        ("a \ud800 nurse", "no valid Unicode"),
        (None, "is a NoneType"),
        (b"a nurse", "is a bytes"),
    ],
)
def test_a_bad_prompt_is_refused_in_one_line(text, said):
    with pytest.raises(DataError, match=said) as caught:
        check_prompt(text)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


def test_a_table_that_is_no_prompt_table_is_refused(prompts):
    with pytest.raises(DataError, match="missing \\['pair'\\]"):
        PromptSet(prompts.table.drop(columns="pair"))
    with pytest.raises(DataError, match="column 'group' holds \\['other'\\]"):
        PromptSet(prompts.table.assign(group="other"))
    with pytest.raises(DataError, match="is empty"):
        PromptSet(prompts.table.assign(prompt=""))
    assert list(prompts.table.columns) == list(COLUMNS)
