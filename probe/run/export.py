"""What leaves a run: its embeddings for other programs, and its correction with a model card."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from probe.errors import DataError
from probe.io.artifacts import read_json, write_json
from probe.io.files import atomic
from probe.run.files import EMBEDDINGS, QUALITY, correction_files
from probe.run.folder import Run
from probe.run.imported_vectors import imported_vectors
from probe.run.intervention import router_with_counts
from probe.run.registry import Answer
from probe.run.user_prompts import USER_PROMPTS
from probe.text.vectors import NamedVectors

CARD = "README.md"
FIGURES = "figures.json"


def export_embeddings(run: Run, path: Path) -> Answer:
    """Write each prompt of a run with its embedding, the user's prompts last.

    Imported vectors are written as they came.
    """
    from probe.text.embeddings import EmbeddingStore
    from probe.text.vector_files import write_vectors

    if run.config.is_imported:
        vectors = imported_vectors(run)
    else:
        stores = [EmbeddingStore.open(run.folder / EMBEDDINGS)]
        if run.config.embed.prompts:
            stores.append(EmbeddingStore.open(run.folder / USER_PROMPTS))
        prompts = [prompt for store in stores for prompt in store.prompt_set.prompts]
        # A prompt of the user may be in the lexicon too: equal prompts have equal rows.
        rows = {prompt: row for row, prompt in reversed(list(enumerate(prompts)))}
        names = tuple(dict.fromkeys(prompts))
        matrix = np.concatenate([store.vectors() for store in stores])
        matrix = matrix[[rows[name] for name in names]]
        vectors = NamedVectors(names, matrix, run.folder.name)
    write_vectors(vectors, path)
    n, width = vectors.matrix.shape
    text = f"{path}: {n} prompts, {width} features each"
    return Answer(text, {"path": str(path), "n_prompts": n, "n_features": width})


def publish_correction(run: Run, folder: Path, compose: Callable[[Path], str]) -> Answer:
    """Write the correction, its model card, and the figures behind the card, to a new folder.

    Its router is the one that the images of the figures were made with. ``compose`` makes the text
    of the card from the run folder; see `figures.cards`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; needed a new or an empty folder")
    card = compose(run.folder)
    folder.mkdir(parents=True, exist_ok=True)
    sources = {Path(name).name: name for name in correction_files(run.config)} | {FIGURES: QUALITY}
    for name, source in sources.items():
        with atomic(folder / name) as temporary:
            shutil.copyfile(run.folder / source, temporary)
    config, made = read_json(folder / "config.json", kind="moesd")
    write_json(folder / "config.json", config | {"router": asdict(router_with_counts(run))}, made)
    with atomic(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")
    names = [*sources, CARD]
    return Answer(f"{folder}: {', '.join(names)}", {"folder": str(folder), "files": names})
