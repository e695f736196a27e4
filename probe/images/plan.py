"""Plans of images to generate, and the metadata of their folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pandas as pd

from probe.errors import ArtifactError, DataError
from probe.io.artifacts import atomic, hash_parts
from probe.io.lines import read_json_lines
from probe.text.attributes import GENDER, Attribute
from probe.text.lexicon import SPLITS, Lexicon

COLUMNS = ("kind", "subject", "prompt", "seed", "file_name")
METADATA = "metadata.jsonl"


@dataclass(frozen=True, eq=False)
class GenerationPlan:
    """Images to generate, one per row: prompt and noise seed."""

    table: pd.DataFrame
    """Columns: ``kind``, ``"neutral"``, ``"object"`` or the value that the prompt states;
    ``subject``; ``prompt``; ``seed`` of the noise, below 2**32; ``file_name``, relative to the
    folder of the images."""

    def __post_init__(self) -> None:
        if self.table["file_name"].duplicated().any():
            raise DataError("a plan names the same file twice; give every row its own file_name")

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def build(
        cls,
        lexicon: Lexicon,
        *,
        n_images: int,
        seed: int,
        split: str = "test",
        attributes: Sequence[Attribute] = (GENDER,),
    ) -> GenerationPlan:
        """Plan images that measure bias, and images that a correction must not change.

        Templates and objects are those of ``split``; its occupations and those of earlier splits
        are shown, so that nothing for testing is seen while settings are chosen on "validation".
        Each occupation gets ``n_images`` images of a neutral prompt, and a quarter as many (at
        least 2) of prompts that state each value of the first attribute, and some value of every
        other; each object gets a quarter as many. Image i of a subject has the same noise for every
        prompt, and a larger ``n_images`` only adds images.
        """
        if n_images < 1:
            raise ValueError(f"n_images is {n_images}; needed at least 1")
        n_others = max(2, n_images // 4)
        jobs = lexicon.occupations_of(*SPLITS[: SPLITS.index(split) + 1])
        rows: list[dict[str, Any]] = []
        for job in jobs:
            prompts = [lexicon.neutral_prompt(job, split)]
            rows += planned_rows("neutral", job, prompts, n_images, seed)
        for job in jobs:
            for kind in attributes[0].values:
                prompts = explicit_prompts(lexicon, job, kind, split=split, attributes=attributes)
                rows += planned_rows(kind, job, prompts, n_others, seed)
        for thing in lexicon.objects[split]:
            prompts = [lexicon.neutral_prompt(thing, split)]
            rows += planned_rows("object", thing, prompts, n_others, seed)
        return cls(pd.DataFrame(rows, columns=list(COLUMNS)))

    @classmethod
    def examples(cls, lexicon: Lexicon, *, n_images: int, seed: int) -> GenerationPlan:
        """Plan ``n_images`` women and as many men of each training occupation.

        The prompts state the gender, and no noise is shared with the images of `build`.
        """
        rows: list[dict[str, Any]] = []
        for job in lexicon.occupations_of("train"):
            for kind in GENDER.values:
                prompts = explicit_prompts(lexicon, job, kind, split="train")
                rows += planned_rows(kind, job, prompts, n_images, f"examples of {seed}")
        return cls(pd.DataFrame(rows, columns=list(COLUMNS)))


def planned_rows(
    kind: str, subject: str, prompts: Sequence[str], n_images: int, seed: int | str
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one subject, which takes its prompts in turn.

    Image i of a subject has the same noise for every kind.
    """
    for index in range(n_images):
        yield {
            "kind": kind,
            "subject": subject,
            "prompt": prompts[index % len(prompts)],
            # CPU generators use no more than 32 bits of a seed.
            "seed": int(hash_parts(str(seed), subject, str(index))[:8], 16),
            "file_name": f"{_slug(subject)}/{kind}-{index:05d}.png",
        }


def explicit_prompts(
    lexicon: Lexicon,
    subject: str,
    kind: str,
    *,
    split: str,
    attributes: Sequence[Attribute] = (GENDER,),
) -> list[str]:
    """State a value of the first attribute, and each value of the others in turn.

    Gender is stated by the lexicon's first noun and by its first adjective; another attribute by
    its word.

    >>> explicit_prompts(Lexicon.load(), "nurse", "male", split="test")
    ['a photo of a man working as a nurse', 'a photo of a male nurse']
    """
    first, *others = attributes
    explicit, said = lexicon.templates[split].explicit, []
    for slot, words in (("person", lexicon.pairs), ("adjective", lexicon.adjectives)):
        template = next((text for text in explicit if f"{{{slot}}}" in text), None)
        if template is None or not words:
            continue
        if first.name == GENDER.name:
            word = words[0].female if kind == "female" else words[0].male
        else:
            word = first.values[kind][0] + " person" * (slot == "person")
        said.append((template, slot, word))
    if first.name != GENDER.name:
        said = said[-1:]  # "an old person" only where there is no template for an adjective
    prefixes = ["".join(f"{word} " for word in of) for of in product(*(of.words for of in others))]
    return [
        lexicon.prompt(template, subject, kind, **{slot: prefix + word})
        for (template, slot, word), prefix, _ in zip(
            cycle(said), cycle(prefixes), range(max(len(said), len(prefixes))), strict=False
        )
    ]


def write_metadata(folder: Path, table: pd.DataFrame) -> None:
    """Write ``metadata.jsonl``: one JSON object per image, with the key ``file_name``."""
    with atomic(folder / METADATA) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in table.to_dict("records"):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_metadata(folder: Path) -> pd.DataFrame:
    """Read ``metadata.jsonl`` of a folder of images."""
    path = folder / METADATA
    try:
        rows = [row for _, row in read_json_lines(path) if row is not None]
    except DataError as error:
        raise ArtifactError(f"{error}, or generate the images again") from error
    names: list[Any] = [row.get("file_name") if isinstance(row, dict) else None for row in rows]
    if not names or not all(isinstance(name, str) for name in names):
        raise ArtifactError(f"{path} names no file in some row; generate the images again")
    if outside := [name for name in names if not _is_below(Path(name))]:
        raise DataError(f"{path} names {outside[0]!r}, which is outside, or too long; correct it")
    return pd.DataFrame(rows)


def _is_below(path: Path) -> bool:
    parts = [part.encode("utf-8", "replace") for part in path.parts]
    return not path.is_absolute() and all(of != b".." and len(of) < 256 for of in parts)


def _slug(subject: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    if plain and plain.replace("-", " ") == subject.lower():
        return plain
    # Names without Latin letters, or that differ in punctuation only, still need their own folder.
    return f"{plain}-{hash_parts(subject)[:8]}".strip("-")
