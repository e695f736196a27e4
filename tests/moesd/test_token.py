from types import SimpleNamespace

import pytest
import torch

from probe.errors import ShapeError
from probe.moesd import token as token_module
from probe.moesd.config import TOKEN_PLACES
from probe.moesd.token import SpecialToken
from probe.text.lexicon import Lexicon
from probe.text.templates import fill


@pytest.fixture
def token(town):
    return SpecialToken.start(town.encoder, ("nurse", "construction worker"))


@pytest.mark.parametrize(
    ("prompt", "before"),
    [
        ("a photo of a nurse", "nurse"),
        ("A photo of a Construction Worker at work", "Construction"),
        ("a photo of the pilot", "pilot"),
        ("nurses", "nurses"),
        ("a photo of a nurse and a construction worker", "nurse"),
        ("a photo of a pilot in a cockpit", "pilot"),
        ("a cat beside a barista", "barista"),
        ("a software developer at a desk", "software"),
        ("a photo of two pilots", "pilots"),
        ("a photo of a zorblax in a house", "zorblax"),
        ("a photo of an old zorblax in a house", "zorblax"),
        ("a photo of a young dark-skinned zorblax", "zorblax"),
        ("an elderly East Asian software developer", "software"),
        ("a photo of a child with a ball", "child"),
        ("a photo of a Latina in a garden", "Latina"),
    ],
)
def test_the_token_stands_before_the_subject(token, prompt, before):
    assert prompt[token.place(prompt) :].startswith(before)


def test_no_object_is_a_subject(moesd):
    assert "a cat beside a cook"[moesd.token.place("a cat beside a cook") :] == "cook"


def test_the_token_knows_no_noun_that_is_not_for_training_and_finds_it_by_grammar(moesd):
    lexicon = Lexicon.load()
    assert moesd.token.subjects == tuple(lexicon.occupations_of("train"))
    for noun in lexicon.occupations_of("validation", "test"):
        for template in (text for of in lexicon.templates.values() for text in of.neutral):
            prompt = fill(template, subject=noun)
            assert moesd.token.subject_at(prompt) is None
            assert prompt[moesd.token.subject_at(prompt, is_person=True) :].startswith(noun)
    assert moesd.token.subject_at("a nurse with a red bag", is_person=True) == 2
    assert moesd.token.subject_at("a cat beside a nurse", is_person=True) is None


def test_an_encoder_without_a_start_token_gets_the_token_before_the_subject(town, token):
    """T5's tokenizer adds an end only."""
    words = town.encoder.tokenizer

    def without_start(texts, add_special_tokens=True, **options):
        ids = words(texts, add_special_tokens=False).input_ids
        rows = ids if isinstance(texts, list) else [ids]
        ended = [[*row, words.eos_token_id] if add_special_tokens else row for row in rows]
        return SimpleNamespace(input_ids=ended if isinstance(texts, list) else ended[0])

    without_start.eos_token_id = words.eos_token_id
    ids = torch.tensor([without_start("a photo of a nurse").input_ids])
    encoder = SimpleNamespace(
        tokenizer=without_start, tokenize=lambda _: ids, max_tokens=ids.shape[1],
        conditioning=town.encoder.conditioning, n_hidden=0,
    )  # fmt: skip
    n_before = len(words("a photo of a", add_special_tokens=False).input_ids)
    assert token.input_ids(encoder, ["a photo of a nurse"])[1].tolist() == [n_before]


@pytest.mark.parametrize("stands", TOKEN_PLACES)
def test_where_the_token_stands_is_a_setting(town, stands):
    encoder = town.encoder
    token = SpecialToken.start(encoder, ("nurse",), stands=stands)
    prompt = "a photo of a nurse"
    said = encoder.tokenizer(prompt, add_special_tokens=False).input_ids
    before = encoder.tokenizer(prompt[: -len("nurse")], add_special_tokens=False).input_ids
    expected = {"start": 1, "end": 1 + len(said), "subject": 1 + len(before), "nowhere": -1}
    ids, places = token.input_ids(encoder, [prompt])
    assert places.tolist() == [expected[stands]]
    is_nowhere = stands == "nowhere"
    assert torch.equal(ids, encoder.tokenize([prompt])) == is_nowhere
    assert torch.equal(token.states(encoder, ids, places), encoder.states([prompt])) == is_nowhere


def test_the_gap_moves_the_rest_one_token_to_the_right(town, token):
    prompts = ["a photo of a nurse", "a construction worker"]
    plain = town.encoder.tokenize(prompts)
    ids, places = token.input_ids(town.encoder, prompts)
    for row, place in enumerate(places.tolist()):
        torch.testing.assert_close(ids[row, :place], plain[row, :place])
        torch.testing.assert_close(ids[row, place + 1 :], plain[row, place:-1])


def test_a_full_prompt_keeps_its_end(town, token):
    ids, _ = token.input_ids(town.encoder, ["a nurse " * 60])
    assert ids[0, -1] == town.encoder.tokenizer.eos_token_id


def test_the_vector_is_what_the_encoder_reads_in_the_gap(town, token):
    encoder = town.encoder
    ids, places = token.input_ids(encoder, ["a photo of a nurse"])
    table = encoder.model.get_input_embeddings().weight
    same = SpecialToken(table[int(ids[0, 3])].detach().clone(), token.subjects)
    replaced = ids.clone()
    replaced[0, places[0]] = ids[0, 3]
    torch.testing.assert_close(same.states(encoder, ids, places), encoder.forward_ids(replaced))


def test_the_encoder_is_left_as_it_was(town, token):
    encoder = town.encoder
    before = encoder.states(["a photo of a nurse"])
    ids, places = token.input_ids(encoder, ["a photo of a nurse"])
    token.states(encoder, ids, places)
    with pytest.raises(ShapeError, match="features"):
        SpecialToken(torch.zeros(3), ()).states(encoder, ids, places)
    assert not encoder.model.get_input_embeddings()._forward_hooks
    torch.testing.assert_close(encoder.states(["a photo of a nurse"]), before, rtol=0, atol=0)


def test_the_gradient_reaches_the_vector_with_a_bounded_number_of_tokens_at_a_time(
    town, token, monkeypatch
):
    token.vector.requires_grad_(True)
    n_tokens = []
    forward = town.encoder.forward_ids
    monkeypatch.setattr(
        town.encoder, "forward_ids", lambda ids: n_tokens.append(ids.numel()) or forward(ids)
    )
    prompts = [f"a photo of {n} nurses" for n in range(60)]
    ids, places = token.input_ids(town.encoder, prompts)
    gradients = []
    for limit in (token_module.N_TOKENS, 10**6):
        monkeypatch.setattr(token_module, "N_TOKENS", limit)
        token.vector.grad = None
        token.states(town.encoder, ids, places).square().sum().backward()
        gradients.append(token.vector.grad)
        assert max(n_tokens) <= min(limit, ids.numel())
    assert gradients[1].abs().sum() > 0
    torch.testing.assert_close(*gradients)
