"""Reasons for missing labels; images without a value are counted by reason and never dropped."""

UNDETECTED = "undetected"
"""No person, no face, or no label."""
AMBIGUOUS = "ambiguous"
"""A person or a classifier could not decide between the values."""
UNREADABLE = "unreadable"
"""An image that could not be opened."""
MISSING = (UNDETECTED, AMBIGUOUS, UNREADABLE)

_NOT_SEEN = ("no face", "no person", "not visible")
_WORDS = {
    UNDETECTED: ("", "undetected", "none", "except", "nan", "null", *_NOT_SEEN),
    AMBIGUOUS: ("ambiguous", "unclear", "unsure", "unknown", "both"),
    UNREADABLE: ("unreadable",),
}
_REASON = {word: reason for reason, words in _WORDS.items() for word in words}


def missing_reason(label: str) -> str | None:
    """Return why a label is missing, one of `MISSING`, or None if it is a value."""
    return _REASON.get(label.strip().lower())
