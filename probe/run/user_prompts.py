"""Prompts of the user: kept in the run, embedded beside the others, placed on the axis."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from probe.arrays import Double, Float32
from probe.io.artifacts import Provenance, hash_parts, read_table, write_table
from probe.run.files import DIRECTION, USER_PLACES
from probe.run.folder import Run, stale_files
from probe.text.prompt_files import PromptFile
from probe.text.prompts import COLUMNS, PromptSet

PROMPTS = "prompts.parquet"
"""The user's prompts with their attributes, as they were read from the file."""

USER_PROMPTS = "embeddings/user_prompts"
FILES = ("embeddings/user_prompts/prompts.parquet", "embeddings/user_prompts/states.safetensors")

Place = Callable[[Float32], tuple[Double, Double]]
"""From vectors (n_prompts, n_features) to bias score and projection, each (n_prompts,)."""

_BLOCK = 10_000


def keep_prompts(folder: Path, prompts: PromptFile) -> None:
    """Write the prompts of a file into a run folder."""
    given = prompts.prompt_set()
    made = Provenance(kind="given", model="", revision="", seed=None, made_from=given.hash)
    write_table(folder / PROMPTS, given.table, made)


def user_prompts(run: Run) -> PromptSet | None:
    """The user's prompts, or None if this run has none."""
    if not run.config.embed.prompts:
        return None
    return PromptSet(read_table(run.path(run.config.embed.prompts), kind="given")[0])


def place_user_prompts(run: Run, place: Place) -> None:
    """Write the projections of the user's prompts, after the direction."""
    from probe.text.embeddings import EmbeddingStore

    if (prompts := user_prompts(run)) is None:
        return
    vectors = EmbeddingStore.open(run.folder / USER_PROMPTS).vectors()
    starts = range(0, len(vectors), _BLOCK)
    blocks = [place(vectors[start : start + _BLOCK]) for start in starts]
    bias_score, projection = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    table = prompts.table.drop(columns=[name for name in COLUMNS if name != "prompt"])
    table = table.assign(bias_score=bias_score, projection=projection)
    write_table(run.folder / USER_PLACES, table, run.provenance("places", _made_from(run)))


def stale_places(run: Run) -> str | None:
    """Say why the places of the user's prompts are not up to date; None if they are."""
    if not run.config.embed.prompts:
        return None
    return stale_files(run, _made_from(run), USER_PLACES)


def _made_from(run: Run) -> str:
    return hash_parts("user prompts", run.hashes(*FILES, DIRECTION))
