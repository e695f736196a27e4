"""A counterfactual says the same of somebody else: only the gender goes, and the grammar stays."""

import csv
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.text.captions.classification import classify
from probe.text.captions.counterfactuals import neutralise, swap_gender
from probe.text.captions.rewriting import plural_verb
from probe.text.captions.vocabulary import CaptionWords

FLIPPED = {"male": "female", "female": "male", "both": "both"}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man walks his dog.", "A woman walks her dog."),
        ("A woman walks her dog.", "A man walks his dog."),
        ("A friend and a dog sit beside her.", "A friend and a dog sit beside him."),
        ("The dog that a man saw is beside him.", "The dog that a woman saw is beside her."),
        ("A woman with a dog behind her, smiling.", "A man with a dog behind him, smiling."),
        ("She shows her sleeping baby.", "He shows his sleeping baby."),
        ("Two people watch her eating at home.", "Two people watch him eating at home."),
        ("A girl in her wedding dress.", "A boy in his wedding dress."),
        ("A boy and a friend of his.", "A girl and a friend of hers."),
        ("A friend of hers and a boy.", "A friend of his and a girl."),
        ("He's cutting a cake by himself.", "She's cutting a cake by herself."),
        ("An actress waves.", "A male actor waves."),
        ("A priest reads.", "A priestess reads."),
        ("The ladies' kites and a woman's hat.", "The gentlemen's kites and a man's hat."),
        ("A MAN AND HIS DOG", "A WOMAN AND HER DOG"),
        ("AN UNCLE", "AN AUNT"),
        ("A WOMAN", "A MAN"),
        ("A woman and her nightly walk.", "A man and his nightly walk."),
        ("Man with a kite", "Woman with a kite"),
        ("Mr. Lee and his son", "Mrs. Lee and her daughter"),
        ("An uncle hugs a nephew.", "An aunt hugs a niece."),
        ("A male cook in a man-made cave.", "A female cook in a man-made cave."),
        ('A man under a sign "MEN".', 'A woman under a sign "MEN".'),
        ("A man with a dog and its ball.", "A woman with a dog and its ball."),
        ("Husband & wife, smiling!", "Wife & husband, smiling!"),
        ("a man\u2019s hat", "a woman's hat"),
        ("A man gives her flowers.", "A woman gives him flowers."),
        ("A woman gives her flowers.", "A man gives his flowers."),
        ("A man gives her flowers to a child.", "A woman gives his flowers to a child."),
        ("A man gives her red flowers to a boy.", "A woman gives his red flowers to a girl."),
        ("A man gives her red flowers and a kiss.", "A woman gives him red flowers and a kiss."),
        ("A man gives her dog a bath.", "A woman gives his dog a bath."),
    ],
)
def test_the_other_gender_takes_the_place_of_the_first(caption, expected):
    assert swap_gender(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man walks his dog.", "A person walks their dog."),
        ("A friend and a dog sit beside her.", "A friend and a dog sit beside them."),
        ("He rides a bike.", "They ride a bike."),
        ("She is cutting what he has baked.", "They are cutting what they have baked."),
        ("He quickly washes and dries a cup.", "They quickly wash and dry a cup."),
        ("She's on a bench.", "They're on a bench."),
        ("He's been in the rain.", "They've been in the rain."),
        ("A woman looks at herself.", "A person looks at themselves."),
        ("A boy and a friend of his.", "A child and a friend of theirs."),
        ("A man and a woman watch the sea.", "Two people watch the sea."),
        ("The bride and groom kiss.", "The two newlyweds kiss."),
        ("A young man and woman dance.", "Two young people dance."),
        ("Man and woman on a bench.", "Two people on a bench."),
        ("A man and an old woman dance.", "A person and an old person dance."),
        ("Men and women in suits.", "People in suits."),
        ("Men, women and children wait.", "People and children wait."),
        ("Boys and girls run.", "Children run."),
        ("A male athlete runs.", "An athlete runs."),
        ("A tall, female skier.", "A tall skier."),
        ("A baby boy sleeps.", "A baby sleeps."),
        ("A male and a female skier.", "A person and a skier."),
        ("A FEMALE ATHLETE", "AN ATHLETE"),
        ("Female skier in the snow.", "Skier in the snow."),
        ("Male and female skiers in the snow.", "Skiers in the snow."),
        ("A young male riding a bike.", "A young person riding a bike."),
        ("A woman doctor waves.", "A doctor waves."),
        ("A woman's hat.", "A person's hat."),
        ("The ladies' kites.", "The people's kites."),
        ("An actress and a fireman.", "An actor and a firefighter."),
        ("A mother and her son.", "A parent and their child."),
        ("A man with a cowboy hat in his cave.", "A person with a cowboy hat in their cave."),
        ("A man with a mother duck.", "A person with a mother duck."),
        ("A man hands her flowers.", "A person hands them flowers."),
        ("A female usher waves.", "An usher waves."),
        (
            "An old male unicyclist waves while he canoes.",
            "An old unicyclist waves while they canoe.",
        ),
    ],
)
def test_no_gender_takes_its_place_and_the_verbs_agree(caption, expected):
    assert neutralise(caption) == expected


@pytest.mark.parametrize(
    "caption", ["", "A tree.", "Some people.", "A dog with his ball.", "A man beside Santa."]
)
def test_a_caption_without_a_gender_or_a_counterpart_has_no_counterfactual(caption):
    assert swap_gender(caption) is None
    assert neutralise(caption) is None


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("rides", "ride"), ("is", "are"), ("has", "have"), ("watches", "watch"), ("ties", "tie"),
        ("carries", "carry"), ("goes", "go"), ("passes", "pass"), ("fixes", "fix"),
        ("leaves", "leave"), ("canoes", "canoe"), ("tiptoes", "tiptoe"), ("echoes", "echo"),
        ("aches", "ache"), ("ran", "ran"), ("dress", "dress"), ("always", "always"),
    ],
)  # fmt: skip
def test_a_verb_of_one_becomes_that_of_many(verb, expected):
    assert plural_verb(verb) == expected


# Properties


def reversible():
    """Words whose counterpart's counterpart they are, and that need no neighbour."""
    known = CaptionWords.load().known
    return [
        word
        for word, meaning in known.items()
        if meaning.swapped in known and known[meaning.swapped].swapped == word
    ]


NOUNS = st.sampled_from(reversible())
PLACES = st.sampled_from(["on a bench", "with an umbrella", "near the old bridge", "at dusk"])


@given(first=NOUNS, second=NOUNS, place=PLACES)
def test_a_swap_undoes_itself_and_turns_the_category_round(first, second, place):
    caption = f"the {first} {place} and the {second} with flowers"
    counterfactual = swap_gender(caption)
    assert swap_gender(counterfactual) == caption
    assert classify(counterfactual).category == FLIPPED[classify(caption).category]


@given(first=NOUNS, place=PLACES)
def test_a_neutral_counterfactual_says_no_gender(first, place):
    counterfactual = neutralise(f"The {first} {place}, and he or she waves.")
    assert classify(counterfactual).category in ("neutral_person", "no_person")
    assert swap_gender(counterfactual) is None


# Other people's lists


@pytest.mark.real
def test_the_pairs_agree_with_those_of_winobias(real_data):
    known = CaptionWords.load().known
    differing = Counter()
    n = 0
    for name in ("generalized_swaps.txt", "extra_gendered_words.txt"):
        for line in (real_data / "winobias" / name).read_text(encoding="utf-8").splitlines():
            first, second = (word.strip() for word in line.split("\t"))
            if first in known and second in known and known[first].swapped:
                n += 1
                differing[first, second] += known[first].swapped != second
    # where they differ: "guy" is "girl" there and "gal" here, "king" is one word for one; the rest
    # are slips of theirs ("chairwomen" to "chairmen")
    assert n > 100
    assert sum(differing.values()) <= 12, [pair for pair, n in differing.items() if n]


@pytest.mark.real
def test_almost_every_caption_of_coco_has_counterfactuals_of_the_right_category(real_data):
    with (real_data / "uce" / "coco_30k.csv").open(encoding="utf-8", newline="") as file:
        captions = [row["prompt"] for row in csv.DictReader(file)][::5]
    gendered = [c for c in captions if classify(c).category in FLIPPED]
    swaps = [(classify(c).category, swap_gender(c)) for c in gendered]
    turned = [classify(t).category == FLIPPED[category] for category, t in swaps if t]
    plain = [neutralise(c) for c in gendered]
    silent = [classify(t).category in ("neutral_person", "no_person") for t in plain if t]
    assert len(gendered) > 1000
    assert min(len(turned), len(silent)) > 0.99 * len(gendered)
    assert min(sum(turned) / len(turned), sum(silent) / len(silent)) > 0.99
