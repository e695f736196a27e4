"""Why a picture shows no value of an attribute; it is counted by its reason and never dropped."""

from __future__ import annotations

UNDETECTED = "undetected"
"""No person, no face, or no label."""
AMBIGUOUS = "ambiguous"
"""Seen, but not as one of the values: a person or a classifier could not tell."""
UNREADABLE = "unreadable"
"""A picture that could not be opened."""
MISSING = (UNDETECTED, AMBIGUOUS, UNREADABLE)

_WORDS = {
    UNDETECTED: ("", "undetected", "none", "except", "no face", "no person", "nan", "null"),
    AMBIGUOUS: ("ambiguous", "unclear", "unsure", "unknown", "both"),
    UNREADABLE: ("unreadable",),
}
_REASON = {word: reason for reason, words in _WORDS.items() for word in words}


def missing_reason(label: str) -> str | None:
    """Say why a label is no value, one of `MISSING`, or None if it is one."""
    return _REASON.get(label.strip().lower())
