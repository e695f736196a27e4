"""Stage 1: embed every prompt of the lexicon and of the user."""

from dataclasses import dataclass

from probe.errors import ArtifactError
from probe.io.settings import Settings, setting
from probe.run.files import EMBEDDED, EMBEDDINGS
from probe.run.folder import Run, stale_files
from probe.run.registry import Answer, Result, Stage, register
from probe.text.languages import FORMS, language_of


@dataclass(frozen=True)
class EmbedConfig(Settings):
    """Which prompts are embedded."""

    lexicon: str = setting(
        "", "Lexicon of words and templates (TOML); the shipped one if empty.", names_file=bool
    )
    split: int = setting(
        0,
        "Random split of the occupations into training, validation and test, 1, 2, ...; 0 takes "
        "the lexicon's own.",
        minimum=0,
    )
    language: str = setting(
        "en",
        "Language of the prompts: en, de, es, fr, it, ja, pt, zh, or a TOML file of your own.",
        names_file=lambda value: value.lower().endswith(".toml"),
    )
    form: str = setting(
        "",
        "How neutral prompts of that language say an occupation: masculine (generic), star or "
        "neutral; if empty, masculine, or neutral where there is no grammatical gender.",
        choices=("", *FORMS),
    )
    encoder: str = setting(
        "",
        "Text encoder of the pipeline; its first one if empty. Where there are several, `run` "
        "chooses one for a new run.",
    )
    instruction: str = setting(
        "",
        "Text that a decoder-only text encoder alone (Gemma, Llama, ...) reads before every "
        "prompt; that of Sana is the pipeline's own.",
    )
    prompts: str = setting(
        "", "Prompts of your own, placed on the axis too; none if empty.", names_file=bool
    )


@register
class Embed(Stage):
    """Encode the prompts that the store does not hold yet; count the vectors of an import."""

    name = "embed"
    about = "Embed every prompt of RUN, starting RUN if it is new."
    needs_model = False
    settings = EmbedConfig

    def check(self, run: Run) -> None:
        """Read the lexicon and the user's prompts."""
        from probe.run.user_prompts import user_prompts

        if not run.config.is_imported:
            _ = run.lexicon, user_prompts(run)

    def stale(self, run: Run) -> str | None:
        """Look at both files, whether they belong together, and at the user's prompts."""
        from probe.run.imported_vectors import stale_import
        from probe.run.user_prompts import FILES, user_prompts
        from probe.text.embeddings import EmbeddingStore

        if run.config.is_imported:
            return stale_import(run)
        if why := stale_files(run, run.prompts.hash, *EMBEDDED):
            return why
        own = user_prompts(run)
        if own is not None and (why := stale_files(run, own.hash, *FILES)):
            return why
        try:
            EmbeddingStore.open(run.folder / EMBEDDINGS)
        except ArtifactError as error:  # it is made again, so it counts as out of date
            return str(error)
        return None

    def make(self, run: Run) -> None:
        """Fill the store."""
        from probe.run.imported_vectors import refuse_import
        from probe.run.user_prompts import USER_PROMPTS, user_prompts
        from probe.text.embeddings import EmbeddingStore

        if run.config.is_imported:
            refuse_import(run)
        encoder, own = run.load_encoder(), user_prompts(run)
        for folder, prompts, label in (
            (EMBEDDINGS, run.prompts, "prompts"),
            (USER_PROMPTS, own, "prompts of your own"),
        ):
            if prompts is not None:
                store = EmbeddingStore(run.folder / folder)
                progress = run.progress_on(label)
                store.update(encoder, prompts, progress=progress, distribute=run.distribute)

    def result(self, run: Run) -> Result:
        """Count what the store holds."""
        from probe.run.imported_vectors import count_import
        from probe.run.user_prompts import user_prompts
        from probe.text.embeddings import EmbeddingStore

        if run.config.is_imported:
            return count_import(run)
        store, own = EmbeddingStore.open(run.folder / EMBEDDINGS), user_prompts(run)
        found = {
            "n_prompts": len(store.prompt_set),
            "n_occupations": len(run.lexicon.occupations),
            "n_objects": sum(map(len, run.lexicon.objects.values())),
            "n_features": store.vectors().shape[1],
            "n_user_prompts": 0 if own is None else len(own),
        }
        text = "{n_prompts} prompts about {n_occupations} occupations and {n_objects} objects"
        if (language := language_of(run.lexicon)) is not None:
            text += f" in {language.name}"
        text += ", {n_user_prompts} prompts of your own" if own is not None else ""
        return Answer((text + ", {n_features} features each").format(**found), found)
