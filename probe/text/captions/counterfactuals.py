"""Counterfactual captions: with the other gender, and without a gender."""

from probe.text.captions.mentions import Mention
from probe.text.captions.rewriting import (
    Draft,
    describes,
    ends_noun_phrase,
    in_case_of,
    is_adverb,
    is_participle,
    plural_verb,
)
from probe.text.captions.vocabulary import FUNCTION_WORDS, GRAMMAR

# Pronoun -> the one of the other gender, and the one without.
_PRONOUNS = {
    "he": ("she", "they"),
    "she": ("he", "they"),
    "him": ("her", "them"),
    "himself": ("herself", "themselves"),
    "herself": ("himself", "themselves"),
    "his": ("hers", "theirs"),
    "hers": ("his", "theirs"),
    "her": ("him", "them"),
}
_POSSESSIVE = {"his": ("her", "their"), "her": ("his", "their")}  # before a noun
_REACH = 3  # words between an article and its noun


def swap_gender(caption: str) -> str | None:
    """Swap every gender of a caption: "a man and his wife" becomes "a woman and her husband".

    Words that mention no person (see `classify`) stay. "her" becomes "him" or "his", and "his"
    becomes "her" or "hers", by the word that follows; "a" and "an" follow their word.

    Returns
    -------
    str or None
        None if the caption says no gender, or if one of its words has no counterpart.

    References
    ----------
    Zhao, Wang, Yatskar, Ordonez, Chang, *Gender Bias in Coreference Resolution: Evaluation and
    Debiasing Methods*, NAACL (2018), whose lists of swaps this one was checked against.

    Examples
    --------
    >>> swap_gender("An actress sees her husband behind her.")
    'A male actor sees his wife behind him.'
    """
    draft = Draft(caption)
    for mention in draft.gendered:
        if mention.word.is_pronoun:
            draft.replace(mention.place, _pronoun(draft, mention)[0])
        elif mention.word.swapped:
            draft.replace_noun(mention, mention.word.swapped)
        else:
            return None
    return draft.rewritten() if draft.gendered else None


def neutralise(caption: str) -> str | None:
    """Remove every gender of a caption: "a man on his bike" becomes "a person on their bike".

    Pronouns become "they", with their verbs ("he rides" - "they ride"); "male" before a noun goes,
    and so does "woman" in "woman doctor"; two nouns that become equal are counted ("a man
    and a woman" - "two people"). Words that mention no person stay. A verb far from its pronoun
    ("he stops, then walks") keeps its ending. (These rules are our choice.)

    Returns
    -------
    str or None
        None if the caption says no gender, or if one of its words has no neutral counterpart.

    Examples
    --------
    >>> neutralise("A man and a woman watch as he ties his shoe.")
    'Two people watch as they tie their shoe.'
    """
    draft = Draft(caption)
    joined: set[int] = set()
    for first, second in zip(draft.gendered, draft.gendered[1:], strict=False):
        if first.place not in joined and _join(draft, first, second):
            joined |= {first.place, second.place}
    for mention in draft.gendered:
        if mention.place in joined:
            continue
        if mention.word.is_pronoun:
            _neutralise_pronoun(draft, mention)
        elif _is_attribute(draft, mention):
            draft.new[mention.place] = ""
        elif mention.word.neutral:
            draft.replace_noun(mention, mention.word.neutral)
        else:
            return None
    return draft.rewritten() if draft.gendered else None


def _pronoun(draft: Draft, mention: Mention) -> tuple[str, str]:
    """The counterparts of a pronoun: of the other gender, and without a gender."""
    stem, mark, ending = mention.token.partition("'")
    following = draft.next(mention.place)
    is_possessive = (stem == "her" and _owns(draft, mention.place)) or (
        stem == "his" and bool(following) and following not in GRAMMAR["after_his"]
    )
    swapped, neutral = (_POSSESSIVE if is_possessive else _PRONOUNS)[stem]
    return swapped + mark + ending, neutral + mark + ending


def _neutralise_pronoun(draft: Draft, mention: Mention) -> None:
    token, place = mention.token, mention.place
    if token in ("he's", "she's"):
        has = draft.next(place) in GRAMMAR["participles"]
        draft.replace(place, "they've" if has else "they're")
        return
    draft.replace(place, _pronoun(draft, mention)[1])
    if token in ("he", "she"):
        _agree(draft, place)


def _agree(draft: Draft, place: int) -> None:
    """Change the verbs of a pronoun that became "they" to the plural."""
    if draft.at(place - 1) in ("is", "was", "has", "does"):
        draft.replace(place - 1, plural_verb(draft.at(place - 1)))
        return
    verb = place + 1
    while is_adverb(draft.at(verb)):
        verb += 1
    for at in (verb, verb + 2):  # "he stops and looks"
        if plural_verb(draft.at(at)) == draft.at(at):
            return
        draft.replace(at, plural_verb(draft.at(at)))
        if draft.at(at + 1) not in ("and", "or"):
            return


def _owns(draft: Draft, place: int) -> bool:
    """Decide whether "her" at a place is possessive: "her dog", not "beside her".

    In "a man gives her flowers" she receives the flowers, so "her" is an object. It stays
    possessive where the giver is a woman, or where another receiver follows: "gives her flowers to
    a child", "gives her dog a bath".
    """
    following = draft.next(place)
    if ends_noun_phrase(following):
        return False
    if is_participle(following) and draft.next(place + 1) in {"", *FUNCTION_WORDS}:
        return False  # "watch her eating at home", but "her sleeping baby"
    if draft.at(place - 1) not in GRAMMAR["giving"]:
        return True
    before = [mention for mention in draft.gendered if mention.place < place]
    if not before or before[-1].word.group == "female":
        return True
    noun = place + 1
    while (after := draft.next(noun)) and after not in FUNCTION_WORDS:
        noun += 1
    return after in ("to", "a", "an", "the", "some")


def _is_attribute(draft: Draft, mention: Mention) -> bool:
    """Whether a word only adds a gender to another: "male cook", "baby boy"."""
    following = draft.next(mention.place)
    if mention.word.is_adjective_too:
        return describes(following)
    if "'" in mention.token:
        return False
    is_one = mention.word.neutral != mention.word.neutral_plural
    is_before_person = bool(following) and mention.place + 1 in draft.people
    return is_before_person or (is_one and draft.at(mention.place - 1) in ("baby", "toddler"))


def _join(draft: Draft, first: Mention, second: Mention) -> bool:
    """Join "a man and a woman" to "two people", and "men and women" to "people"."""
    between = draft.lower[first.place + 1 : second.place]
    gaps = [draft.gap(place).strip() for place in range(first.place, second.place)]
    is_list = not between and gaps == [","]
    is_joined = between[:1] in (["and"], ["or"], ["&"]) and not any(gaps)
    if not (is_list or (is_joined and (len(between) == 1 or between[1:] in (["a"], ["the"])))):
        return False
    word = first.word
    if not word.neutral or word.neutral != second.word.neutral or "'" in first.token + second.token:
        return False
    if word.is_adjective_too and describes(draft.next(second.place)):
        if len(between) > 1:  # "a male and a female skier" are two
            return False
        draft.new[first.place] = ""
    elif word.neutral == word.neutral_plural:
        draft.replace(first.place, word.neutral)
    elif not _count_two(draft, first.place, word.neutral_plural):
        return False
    draft.new |= dict.fromkeys(range(first.place + 1, second.place + 1), "")
    return True


def _count_two(draft: Draft, place: int, plural: str) -> bool:
    """Replace a noun by its plural, and its article by "two"."""
    first = place
    while first > 0 and place - first < _REACH and draft.at(first - 1) not in FUNCTION_WORDS:
        first -= 1
    determiner = draft.at(first - 1)
    if place - first >= _REACH or (first and determiner not in ("a", "an", "one", "the")):
        return False
    draft.replace(place, plural)
    if first:
        draft.replace(first - 1, "the two" if determiner == "the" else "two")
    else:
        word = draft.new.get(0, draft.words[0])
        draft.new[0] = in_case_of("two ", draft.words[0]) + word[:1].lower() + word[1:]
    return True
