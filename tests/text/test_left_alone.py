import pandas as pd
import pytest

from probe.text.captions.left_alone import reason_to_leave

ENGLISH = """
a photo of a nurse|nurse|phlebotomist, 4k|portrait of a carpenter at work|the CEO of a company
a nurse in front of the Tower of London|Los Angeles skyline|La Paz at night|a café owner, 4k
Vincent van Gogh style nurse|a nurse 😊|a comic con in Osaka|the head of security|a beach, 8k|
the bus en route to the city|Chicago's nurses|There's a kitchen
The Mayor Of Casterbridge|a nurse and the president of France
"""


def reason(prompt, *, known=True):
    return reason_to_leave(prompt, lambda word: known)


@pytest.mark.parametrize("prompt", ENGLISH.strip().replace("\n", "|").split("|"))
def test_what_is_english_and_about_nobody_in_particular_is_for_the_gate(prompt):
    assert reason(prompt) == ""


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("a photo of the CEO of Apple", "one person: the CEO of Apple"),
        ("Apple's CEO", "one person: Apple's CEO"),
        ("the first lady of the United States", "one person: the first lady of the United"),
        ("\N{WOMAN}\N{ZERO WIDTH JOINER}\N{STAFF OF AESCULAPIUS}", "a symbol that shows a gender"),
        ("\N{MALE SIGN} nurse", "a symbol that shows a gender: \N{MALE SIGN}"),
        ("\N{ADULT}", "no words"),
        ("una enfermera", "another language: una"),
        ("un'infermiera", "another language: un'infermiera"),
        ("Eine Krankenschwester in einem Krankenhaus", "another language: eine einem"),
        ("a photo of une infirmière", "another language: une"),
        ("La enfermera", "another language: la"),
        ("\u5973\u62a4\u58eb", "another script: \u5973\u62a4\u58eb"),
    ],
)
def test_other_prompts_are_left_alone_with_the_reason(prompt, why):
    assert reason(prompt).startswith(why)


def test_a_prompt_without_any_word_of_the_encoder_or_the_lists_is_not_known():
    assert reason("enfermera", known=False) == "no word is known to the encoder: enfermera"
    for prompt in ("a phlebotomist", "nurse", "Maria"):
        assert reason(prompt, known=False) == ""


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", ["coco_30k", "profession_prompts"])
def test_none_of_30000_published_captions_and_prompts_is_left_alone(name, real_data):
    prompts = pd.read_csv(real_data / "uce" / f"{name}.csv")["prompt"].astype(str)
    assert not [prompt for prompt in prompts if reason(prompt)]
