"""What is to be drawn: a plan of prompts and noise seeds, and how its folder is described."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from probe.errors import ArtifactError, DataError
from probe.io.artifacts import atomic, hash_parts
from probe.text.lexicon import Lexicon
from probe.text.templates import fill

COLUMNS = ("kind", "subject", "prompt", "seed", "file_name")
KINDS = ("neutral", "female", "male", "object")
METADATA = "metadata.jsonl"


@dataclass(frozen=True, eq=False)
class GenerationPlan:
    """Which pictures to make, one a row: what the prompt says and which noise it starts from."""

    table: pd.DataFrame
    """Columns: ``kind``, one of `KINDS`; ``subject``; ``prompt``; ``seed`` of the noise, below
    2**32; ``file_name``, relative to the folder of the pictures.
    """

    def __post_init__(self) -> None:
        if missing := [name for name in COLUMNS if name not in self.table.columns]:
            raise DataError(f"a plan needs the columns {list(COLUMNS)}; missing {missing}")
        if self.table["file_name"].duplicated().any():
            raise DataError("a plan names the same file twice; give every row its own file_name")

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def build(cls, lexicon: Lexicon, *, n_images: int, seed: int) -> GenerationPlan:
        """Plan what shows a bias and what a correction must leave alone.

        Each occupation gets ``n_images`` pictures of a prompt that says no gender, and a quarter
        as many (at least 2) of prompts that say "woman" and of prompts that say "man"; each
        object gets a quarter as many. Picture i of a subject starts from the same noise whatever
        its prompt says, and a larger ``n_images`` only adds pictures.
        """
        if n_images < 1:
            raise ValueError(f"n_images is {n_images}; needed at least 1")
        n_others = max(2, n_images // 4)
        neutral = lexicon.neutral_templates[0]
        rows: list[dict[str, Any]] = []
        for job in lexicon.occupations:
            said = [fill(neutral, subject=job.name)]
            rows += planned_rows("neutral", job.name, said, n_images, seed)
        for job in lexicon.occupations:
            for kind in ("female", "male"):
                said = explicit_prompts(lexicon, job.name, kind)
                rows += planned_rows(kind, job.name, said, n_others, seed)
        for thing in lexicon.objects:
            rows += planned_rows("object", thing, [fill(neutral, subject=thing)], n_others, seed)
        return cls(pd.DataFrame(rows, columns=list(COLUMNS)))

    @classmethod
    def examples(cls, lexicon: Lexicon, *, n_images: int, seed: int) -> GenerationPlan:
        """Plan ``n_images`` women and as many men of each occupation that is not held out.

        The prompts say the gender, and no noise is shared with the pictures of `build`.
        """
        rows: list[dict[str, Any]] = []
        for job in lexicon.occupations:
            for kind in ("female", "male"):
                if not job.held_out:
                    said = explicit_prompts(lexicon, job.name, kind)
                    rows += planned_rows(kind, job.name, said, n_images, f"examples of {seed}")
        return cls(pd.DataFrame(rows, columns=list(COLUMNS)))


def planned_rows(
    kind: str, subject: str, prompts: Sequence[str], n_images: int, seed: int | str
) -> Iterator[dict[str, Any]]:
    """Give the rows of a plan that show one subject, its prompts taken in turn.

    Picture i of a subject starts from the same noise whatever its kind.
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


def explicit_prompts(lexicon: Lexicon, subject: str, kind: str) -> list[str]:
    """Say a gender in each way of the lexicon: by its first noun, by its first adjective.

    >>> explicit_prompts(Lexicon.load(), "nurse", "male")
    ['a photo of a man working as a nurse', 'a photo of a male nurse']
    """
    prompts = []
    for slot, words in (("person", lexicon.pairs), ("adjective", lexicon.adjectives)):
        fitting = (text for text in lexicon.explicit_templates if f"{{{slot}}}" in text)
        if (template := next(fitting, None)) and words:
            word = words[0].female if kind == "female" else words[0].male
            prompts.append(fill(template, subject=subject, **{slot: word}))
    return prompts


def write_metadata(folder: Path, table: pd.DataFrame) -> None:
    """Write ``metadata.jsonl``: one JSON object a picture, ``file_name`` among its keys."""
    with atomic(folder / METADATA) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in table.to_dict("records"):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_metadata(folder: Path) -> pd.DataFrame:
    """Read ``metadata.jsonl`` of a folder of pictures.

    Raises
    ------
    ArtifactError
        If it is missing or not JSON.
    """
    path = folder / METADATA
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        table = pd.DataFrame([json.loads(line) for line in lines])
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read ({error}); generate the pictures again"
        ) from error
    if "file_name" not in table.columns:
        raise ArtifactError(f"{path} names no file; generate the pictures again")
    return table


def _slug(subject: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    # Names without Latin letters, or equal but for signs, still need a folder each.
    return (
        plain
        if plain and plain.replace("-", " ") == subject.lower()
        else (f"{plain}-{hash_parts(subject)[:8]}".strip("-"))
    )
