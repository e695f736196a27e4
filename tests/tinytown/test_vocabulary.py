from hypothesis import given, settings
from hypothesis import strategies as st

from probe.text.lexicon import Lexicon
from probe.tinytown.architecture import learn_tokenizer
from probe.tinytown.world import Town


def _tokenizer():
    town = Town(Lexicon.load(), seed=0)
    return learn_tokenizer(town.captioned()[1] for _ in range(3000))


TOKENIZER = _tokenizer()


def test_known_words_are_single_tokens():
    ids = TOKENIZER("a photo of a female nurse", add_special_tokens=False).input_ids
    assert len(ids) == 6


def test_the_layout_is_that_of_clip():
    ids = TOKENIZER("a nurse").input_ids
    assert ids[0] == TOKENIZER.bos_token_id == len(TOKENIZER) - 2
    assert ids[-1] == TOKENIZER.eos_token_id == len(TOKENIZER) - 1
    assert len(TOKENIZER) <= 512 + 512 + 2


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("C",)), max_size=40))
def test_any_text_is_tokenized_without_an_unknown(text):
    ids = TOKENIZER(text, add_special_tokens=False).input_ids
    assert TOKENIZER.unk_token_id not in ids or "endoftext" in text
