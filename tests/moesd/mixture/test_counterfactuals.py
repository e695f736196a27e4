import pytest
import torch

from probe.errors import DataError
from probe.moesd.mixture.counterfactuals import Counterfactuals


def test_counterfactuals_say_each_value_before_the_subject_with_its_article(moesd):
    said = Counterfactuals(("female", "old")).of("A photo of an accountant", moesd.token)
    assert said == ("A photo of a female accountant", "A photo of an old accountant")
    said = Counterfactuals().of("a cat beside a librarian", moesd.token)
    assert said[0] == "a cat beside a female librarian"
    said = Counterfactuals().of("a pilot in a cockpit", moesd.token)
    assert said[0] == "a female pilot in a cockpit"
    said = Counterfactuals().of("two librarians by the librarian", moesd.token)
    assert said == (
        "two librarians by the female librarian",
        "two librarians by the male librarian",
    )


def test_a_prompt_without_a_known_person_has_no_counterfactual(moesd):
    with pytest.raises(DataError, match="'a photo of a zorblax' names no person"):
        Counterfactuals().of("a photo of a zorblax", moesd.token)


@pytest.mark.parametrize("words", [(), ("female",), ("male", "male")])
def test_words_that_make_no_counterfactuals_are_refused(words):
    with pytest.raises(ValueError, match="two or more distinct words"):
        Counterfactuals(words)


def test_counterfactuals_stand_token_by_token_where_the_marked_prompt_does(moesd):
    prompts = ["a photo of a librarian", "a portrait of an accountant"]
    found = Counterfactuals().aligned_states(moesd.encoder, moesd.token, prompts)
    said = ["a photo of a female librarian", "a portrait of a female accountant"]
    expected = moesd.encoder.states(said)
    n_tokens = len(moesd.encoder.tokenizer("female", add_special_tokens=False).input_ids)
    _, places = moesd.token.input_ids(moesd.encoder, prompts)
    for row, place in enumerate(places.tolist()):
        torch.testing.assert_close(found[0, row, :place], expected[row, :place])
        torch.testing.assert_close(found[0, row, place], expected[row, place + n_tokens - 1])
