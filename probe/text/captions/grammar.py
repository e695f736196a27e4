"""English grammar of a changed word and its neighbours: verbs, pronouns and possessives."""

from __future__ import annotations

_FUNCTION_WORDS = (
    "a an the this that these those his her their its my and or but nor as while when where if "
    "because so than who whom which what how is are was were be been has have had does do did "
    "can could will would may should on in at to of with by for from into onto near up down out "
    "off over under behind beside before after through around along about across against toward "
    "towards between inside outside next during until without within upon not both it he she "
    "him they them we us you i who's some another there here together alone again away"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that end a noun phrase."""

GIVING = frozenset(
    form
    for verb in ("give", "hand", "offer", "bring", "send", "lend")
    for form in (verb, f"{verb}s", f"{verb.removesuffix('e')}ing", f"{verb}ed")
) | {"gave", "brought", "sent", "lent"}
"""Verbs that take a receiver: "gives her flowers"."""

_ING = (
    "clothing wedding ring painting drawing building earring string wing morning evening "
    "stocking swing sibling king bedding ceiling"
)
_NOUNS_IN_ING = frozenset(_ING.split())
_ADVERBS = frozenset(["also", "just", "always", "never", "still", "then", "now", "often", "soon"])
_LY = (
    "family fly belly butterfly jelly early daily nightly weekly friendly elderly lovely lonely "
    "curly ugly silly only cuddly"
)
_NOT_ADVERBS = frozenset(_LY.split())
_IRREGULAR = {
    "is": "are", "was": "were", "has": "have", "does": "do", "isn't": "aren't",
    "wasn't": "weren't", "hasn't": "haven't", "doesn't": "don't", "goes": "go",
    "ties": "tie", "dies": "die", "lies": "lie", "aches": "ache", "hoes": "hoe", "toes": "toe",
}  # fmt: skip
_PARTICIPLES = frozenset(("been", "got", "had", "gone", "done", "taken", "become"))
_AFTER_HIS = frozenset(("is", "are", "was", "were", "and", "or", "in", "on", "at", "with", "while"))
_NO_VERBS = frozenset(("this", "its", "his", "always", "perhaps", "as", "us", "yes", "across"))


def owns(following: str, after_that: str) -> bool:
    """Whether "her" before a word is possessive ("her dog") and not an object ("beside her").

    Parameters
    ----------
    following, after_that : str
        The next two words, in lower case; empty at the end of the clause.
    """
    if not following or following in FUNCTION_WORDS or is_adverb(following):
        return False
    if following.endswith("ing") and following not in _NOUNS_IN_ING:
        return bool(after_that) and after_that not in FUNCTION_WORDS  # "her sleeping baby"
    return True


def is_determiner_his(following: str) -> bool:
    """Whether "his" before a word is "his dog" and not "a friend of his"."""
    return bool(following) and following not in _AFTER_HIS


def describes(following: str) -> bool:
    """Whether "male" before a word is an adjective ("a male cook") and not a noun."""
    if not following or following in FUNCTION_WORDS or is_adverb(following):
        return False
    is_verb = following.endswith("ing") and following not in _NOUNS_IN_ING
    return not is_verb and following not in _IRREGULAR


def is_adverb(word: str) -> bool:
    """Whether a word is an adverb, by its ending or a short list."""
    return word in _ADVERBS or (word.endswith("ly") and word not in _NOT_ADVERBS)


def plural_verb(verb: str) -> str:
    """Plural of a verb in the third person: "rides" becomes "ride", "is" becomes "are".

    Any other word is returned unchanged.
    """
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb in _NO_VERBS or not verb.endswith("s") or verb.endswith("ss") or len(verb) < 4:
        return verb
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    if verb.endswith(("canoes", "shoes", "tiptoes")):
        return verb[:-1]
    if verb.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return verb[:-2]
    return verb[:-1]


def contraction(following: str) -> str:
    """Plural of "he's", by the word that follows: "they're" or "they've"."""
    return "they've" if following in _PARTICIPLES else "they're"


def possessive(noun: str) -> str:
    """Possessive of a noun: "woman's", "ladies'", "actress's"."""
    return f"{noun}'" if noun.endswith("s") and not noun.endswith("ss") else f"{noun}'s"


def in_case_of(word: str, like: str) -> str:
    """Capitalise a word like another: no letter, the first, or all."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
