"""Stage 1: every prompt of the lexicon becomes a vector."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from probe.errors import ArtifactError
from probe.run.folder import Run, stale_files
from probe.run.user_prompts import USER_PROMPTS, stale_user_prompts, user_prompts

FOLDER = "embeddings"
FILES = ("embeddings/prompts.parquet", "embeddings/states.safetensors")


@dataclass(frozen=True)
class EmbedResult:
    """How many prompts stand in the store, and how wide they are."""

    n_prompts: int
    n_occupations: int
    n_objects: int
    n_features: int
    n_user_prompts: int
    """Prompts of the user's own, beside the others."""

    def summary(self) -> str:
        """One line."""
        own = f", {self.n_user_prompts} prompts of your own" if self.n_user_prompts else ""
        return (
            f"{self.n_prompts} prompts about {self.n_occupations} occupations and "
            f"{self.n_objects} objects{own}, {self.n_features} features each"
        )

    def to_json(self) -> dict[str, Any]:
        """Every count."""
        return asdict(self)


class Embed:
    """Encode what the store does not hold yet."""

    name = "embed"

    def stale(self, run: Run) -> str | None:
        """Look at both files, whether they belong together, and at the user's own prompts."""
        from probe.text.embeddings import EmbeddingStore

        if why := stale_files(run, run.prompts.hash, *FILES) or stale_user_prompts(run):
            return why
        try:
            EmbeddingStore.open(run.folder / FOLDER)
        except ArtifactError as error:  # it can be made anew, so it is no more than out of date
            return str(error)
        return None

    def make(self, run: Run) -> None:
        """Fill the store."""
        from probe.text.embeddings import EmbeddingStore

        store = EmbeddingStore(run.folder / FOLDER)
        encoder = run.load_encoder()
        store.update(encoder, run.prompts, progress=run.progress_on("prompts"))
        if (own := user_prompts(run)) is not None:
            EmbeddingStore(run.folder / USER_PROMPTS).update(
                encoder, own, progress=run.progress_on("prompts of your own")
            )

    def result(self, run: Run) -> EmbedResult:
        """Count what stands in the store."""
        from probe.text.embeddings import EmbeddingStore

        store = EmbeddingStore.open(run.folder / FOLDER)
        return EmbedResult(
            n_prompts=len(store.prompt_set),
            n_occupations=len(run.lexicon.occupations),
            n_objects=len(run.lexicon.objects),
            n_features=store.vectors().shape[1],
            n_user_prompts=len(own) if (own := user_prompts(run)) is not None else 0,
        )
