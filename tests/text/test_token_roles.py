"""Words are found among tokens by the template, in any tokenizer."""

import numpy as np
import pandas as pd
import pytest

from probe.errors import DataError
from probe.text.encoder import TextEncoder
from probe.text.encoding.conditioning import Conditioning
from probe.text.lexicon import Lexicon
from probe.text.prompts import PromptSet
from probe.text.recording.token_roles import ROLES, person_words, token_roles


@pytest.fixture(scope="module")
def spelling(pipeline_folder):
    """An encoder whose tokens are bytes."""
    return TextEncoder.load(pipeline_folder)


def prompt_set(*rows):
    table = pd.DataFrame(rows, columns=["prompt", "template", "subject", "group"])
    return PromptSet(table.assign(pair=-1, split="train", template_split="train", share_women=0.5))


def spelled(encoder, prompts):
    """The tokens of each role, joined, for the first prompt."""
    words = encoder.tokenizer.convert_ids_to_tokens(encoder.tokenizer(prompts.prompts[0]).input_ids)
    return {
        role: "".join(words[at] for at in np.flatnonzero(mask[0])).replace("</w>", " ").strip()
        for role, mask in token_roles(encoder, prompts).items()
    }


def test_an_encoder_that_lowercases_has_its_roles_at_the_tokens_that_it_sees(make_t5):
    part = make_t5()
    conditioning = Conditioning(pooling="mean", masked=True, lowercase=True)
    encoder = TextEncoder(
        part.model, part.tokenizer, id="t5", revision="", conditioning=conditioning
    )
    prompts = prompt_set((" a photo of a NURSE", " a photo of a {subject}", "NURSE", "neutral"))
    ids = encoder.tokenize(prompts.prompts)
    masks = token_roles(encoder, prompts)
    assert masks["all"].sum() == encoder.prompt_mask(ids).sum()
    at = np.flatnonzero(masks["subject"][0])
    assert encoder.tokenizer.convert_ids_to_tokens(ids[0, at]) == ["▁nurse"]


@pytest.mark.parametrize("kind", ["tinytown", "spelling"])
def test_the_words_of_a_prompt_have_their_roles(request, kind):
    prompts = prompt_set(
        (
            "a photo of a man working as an auditor",
            "a photo of a {person} working as a {subject}",
            "auditor",
            "male",
        )
    )
    assert spelled(request.getfixturevalue(kind), prompts) == {
        "start": "<|startoftext|>",
        "person": "man",
        "between": "working as an",
        "subject": "auditor",
        "end": "<|endoftext|>",
        "all": "<|startoftext|>a photo of a man working as an auditor <|endoftext|>",
    }


def test_a_subject_of_two_words_and_an_adjective_are_told_apart(tinytown):
    prompts = prompt_set(
        ("a photo of a female construction worker", "a photo of a {adjective} {subject}",
         "construction worker", "female")
    )  # fmt: skip
    found = spelled(tinytown, prompts)
    assert (found["person"], found["between"]) == ("female", "")
    assert found["subject"] == "construction worker"
    assert person_words(prompts) == ["female"]


def test_every_prompt_of_the_lexicon_has_its_roles(tinytown):
    prompts = PromptSet.build(Lexicon.load())
    roles = token_roles(tinytown, prompts)
    says = prompts.table["group"].isin(["male", "female"]).to_numpy()
    for role in ("start", "subject", "end"):
        assert roles[role].any(axis=1).all()
    np.testing.assert_array_equal(roles["person"].any(axis=1), says)
    # No token has two roles.
    assert sum(roles[role].astype(int) for role in ROLES).max() == 1
    assert set(person_words(prompts)) == {"", "man", "woman", "boy", "girl", "male", "female"}


def test_plain_strings_have_a_start_and_an_end(tinytown):
    roles = token_roles(tinytown, ["a nurse", "a photo of a nurse"])
    assert roles["start"].sum() == roles["end"].sum() == 2
    assert not (roles["person"] | roles["subject"] | roles["between"]).any()
    assert roles["all"].sum(axis=1).tolist() == [4, 7]


def test_a_prompt_that_does_not_follow_its_template_is_named(tinytown):
    prompts = prompt_set(("a photo of the nurse", "a photo of a {subject}", "nurse", "neutral"))
    with pytest.raises(DataError, match="'a photo of the nurse' does not follow its template"):
        token_roles(tinytown, prompts)


def test_a_subject_that_is_cut_off_is_named(tinytown):
    template = "a " * 40 + "photo of a {subject}"
    prompts = prompt_set((template.format(subject="nurse"), template, "nurse", "neutral"))
    with pytest.raises(DataError, match="cut off before its subject; needed at most 32 tokens"):
        token_roles(tinytown, prompts)
