"""Attributes of people that a correction is about: their values, and the words that state each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Any

from probe.errors import DataError
from probe.io.toml_tables import TomlTable

AND = " and "
"""Between the values of a cell."""
_NAME = re.compile(r"[A-Za-z0-9][\w -]*")


@dataclass(frozen=True)
class Attribute:
    """An attribute with K values.

    It is *perceived*: a classifier or a person sees it in an image.
    """

    name: str
    values: Mapping[str, tuple[str, ...]]
    """Words that state each value in a prompt, in any place; the first can stand before a person:
    "an old nurse"."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What classifiers call each value, beside its own name."""
    names: tuple[str, ...] = ()
    """What classifiers call the attribute, beside its name."""
    states_any: tuple[str, ...] = ()
    """Words that state some value, whichever it is."""

    def __post_init__(self) -> None:
        words = [words[0] for words in self.values.values() if words]
        if len(words) < 2 or len(words) < len(self.values) or len(set(words)) < len(words):
            raise DataError(
                f"the values of {self.name} are stated by {words}; needed at least two values, "
                "each with words of its own"
            )
        if wrong := [name for name in (self.name, *self.values) if not _NAME.fullmatch(name)]:
            raise DataError(
                f"{wrong[0]!r} names a value; needed letters, digits, spaces and - only"
            )

    @property
    def is_gender(self) -> bool:
        """Whether it is called gender: then the gate reads from states, too, if one is stated."""
        return "gender" in (self.name, *self.names)

    @property
    def words(self) -> tuple[str, ...]:
        """The word before a person of each value."""
        return tuple(words[0] for words in self.values.values())

    def is_stated(self, prompt: str) -> bool:
        """Whether a word of the prompt states a value, in whatever sense it is used.

        >>> age = Attribute("age", {"young": ("young",), "old": ("old", "elderly")})
        >>> age.is_stated("an elderly nurse")
        True
        """
        words = (*chain.from_iterable(self.values.values()), *self.states_any)
        pattern = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in words)
        return re.search(rf"\b(?:{pattern})\b", prompt, flags=re.IGNORECASE) is not None

    def seen_by(self, attributes: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, str]]:
        """Find the attribute among those of a classifier: its name there, and that of each value.

        Values are called alike whatever their capitals.

        Raises
        ------
        DataError
            If the classifier does not know the attribute, or a value of it.
        """
        names = (self.name, *self.names)
        if (found := next((name for name in names if name in attributes), None)) is None:
            raise DataError(
                f"the classifier knows {', '.join(attributes)} but not {' or '.join(names)}; name "
                "another with `evaluate --classifier`"
            )
        known, labels = attributes[found], {}
        for value in self.values:
            called = (value, *self.labels.get(value, ()))
            named = {name.lower() for name in called}
            labels[value] = next((name for name in known if name.lower() in named), "")
            if not labels[value]:
                raise DataError(
                    f"the classifier knows {found} as {', '.join(known)}, not as "
                    f"{' or '.join(called)}; name another with `evaluate --classifier`"
                )
        return found, labels

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        values = [[value, *words] for value, words in self.values.items()]  # keys would be sorted
        lists = {"names": list(self.names), "states_any": list(self.states_any)}
        return {"name": self.name, "values": values, **lists}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Attribute:
        """Read an attribute that a correction was saved with."""
        values = {str(value): tuple(words) for value, *words in data["values"]}
        names, stated = tuple(data.get("names", ())), tuple(data["states_any"])
        return cls(str(data["name"]), values, names=names, states_any=stated)

    @classmethod
    def of_table(cls, name: str, table: TomlTable) -> Attribute:
        """Read the table ``[attribute]`` of a concept."""
        table.refuse_unknown(("names", "states_any", "values"))
        values, labels = {}, {}
        for value in (of := table.table("values")).data:
            entry = of.table(value)
            entry.refuse_unknown(("words", "labels"))
            values[value] = entry.strings("words")
            labels[value] = entry.strings("labels") if "labels" in entry.data else ()

        def strings(key: str) -> tuple[str, ...]:
            return table.strings(key) if key in table.data else ()

        return cls(name, values, labels, strings("names"), strings("states_any"))


def cells_of(attributes: Sequence[Attribute]) -> Attribute:
    """Combine attributes into one whose values are their cells; a single one stays as it is.

    >>> skin = Attribute("skin_tone", {"tan": ("tan-skinned",), "dark": ("dark-skinned",)})
    >>> cells_of([GENDER, skin]).values["female and dark"]
    ('dark-skinned female',)
    """
    if len(attributes) == 1:
        return attributes[0]
    values = {
        AND.join(value for value, _ in cell): (" ".join(of[0] for _, of in reversed(cell)),)
        for cell in product(*(attribute.values.items() for attribute in attributes))
    }
    return Attribute(AND.join(attribute.name for attribute in attributes), values)


def values_named(name: str, attributes: Sequence[Attribute]) -> list[int]:
    """Find, of each attribute, the place of its value in the name of a value or a cell; -1 of none.

    >>> skin = Attribute("skin_tone", {"tan": ("tan-skinned",), "dark": ("dark-skinned",)})
    >>> values_named("female and dark", [GENDER, skin]), values_named("dark", [GENDER, skin])
    ([0, 1], [-1, 1])
    """
    named = name.split(AND)
    return [
        next((place for place, value in enumerate(of.values) if value in named), -1)
        for of in attributes
    ]


GENDER = Attribute("gender", {"female": ("female",), "male": ("male",)})
"""Which prompts state it is read by the gate, from their states and `GenderWords`."""
