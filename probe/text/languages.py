"""Lexicons of other languages: the words of a lexicon with the grammar that each form needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from probe.errors import OptionError
from probe.io.lines import nearest
from probe.io.toml_tables import TomlTable, either, shown
from probe.text.lexicon import SPLITS, Lexicon, Templates, checked_templates, pair_of

FOLDER = Path(__file__).parent.parent / "data" / "languages"
"""Languages that are shipped with the package."""
FORMS = ("masculine", "star", "neutral")
"""How a neutral prompt says an occupation: generic masculine, in both genders, or in none."""
_COLUMNS = ("masculine", "feminine", "star", "neutral", "description")
_EXPLICIT = ({"subject"}, {"subject", "adjective"}, {"person", "description"})
_KEYS = (
    "name", "openings", "stated", "explicit", "columns", "people", "adjectives", "templates",
    "objects", "occupations",
)  # fmt: skip


@dataclass(frozen=True)
class Language:
    """What a correction knows of a language, in place of the English rules."""

    name: str
    openings: Sequence[str]
    """What stands before the person: "ein Foto von", and other media."""
    stated: tuple[str, str]
    """What says the gender before any person, with its space: female, male."""

    def opening(self, prompt: str) -> int:
        """Count the characters of the longest opening that a prompt begins with."""
        known = (of for of in self.openings if prompt.casefold().startswith(of.casefold()))
        rest = prompt[len(max(known, key=len, default="")) :]
        return len(prompt) - len(rest.lstrip())


@dataclass(frozen=True)
class Translation(Lexicon):
    """A lexicon in another language; subjects keep their English names.

    In explicit templates ``{subject}`` takes the form of the gender.
    """

    _: KW_ONLY
    language: Language
    form: str
    """One of `FORMS`: of ``{subject}`` in neutral templates."""
    words: Mapping[str, Mapping[str, str]]
    """For each subject, by its English name: ``neutral``, ``male``, ``female``, ``description``."""

    def prompt(self, template: str, subject: str, value: str = "neutral", **words: str) -> str:
        """Fill a template with the form of a subject; no article is added."""
        said = self.words[subject]
        description = said["description"] if "{description}" in template else ""
        return template.format(subject=said[value], description=description, **words)

    @property
    def stated(self) -> tuple[str, str]:
        """Words that say each gender before a person, each with its space: female, male."""
        return self.language.stated


def language_names() -> list[str]:
    """Names of the languages that are shipped, beside English."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def translate(lexicon: Lexicon, name_or_path: str | Path, form: str = "") -> Translation:
    """Say a lexicon in a shipped language (by its code) or a user's (by its path).

    ``form`` is one of `FORMS`; the language's first one if it is empty. ``docs/languages.md``
    describes the file. An unknown language or form is an `OptionError`, a wrong or missing entry a
    `DataError`.
    """
    path = Path(name_or_path)
    if path.suffix.lower() != ".toml":
        if (name := str(name_or_path)) not in (known := language_names()):
            raise OptionError(
                f"language is {name!r}{nearest(name, known)}; needed en, {', '.join(known)}, or a "
                "TOML file"
            )
        path = FOLDER / f"{name}.toml"
    file = TomlTable.read(path, "language")
    file.refuse_unknown(_KEYS)
    columns, name = file.strings("columns"), file.string("name")
    if "description" not in columns or not set(columns) <= set(_COLUMNS):
        raise file.wrong("columns", shown(list(columns)), f"description, and of {either(_COLUMNS)}")
    forms = [of for of in FORMS if of in (*columns, "neutral")]
    form = form or forms[0]
    if form not in forms:
        raise OptionError(f"form is {form!r}, which {name} does not have; needed {either(forms)}")
    people, stated = file.table("people"), pair_of(file.table("stated"))
    explicit = checked_templates(file, "explicit", *_EXPLICIT)
    described = next((of for of in explicit if "{description}" in of), "")
    jobs, things = file.table("occupations"), file.table("objects")

    def forms_of(job: str) -> dict[str, str]:
        if len(phrases := jobs.strings(job)) != len(columns):
            raise jobs.wrong(job, shown(list(phrases)), f"one each of {', '.join(columns)}")
        row = dict(zip(columns, phrases, strict=True))
        words = {"person": people.string("neutral"), "description": row["description"]}
        plain = row.setdefault("neutral", described.format(**words))
        male, female = row.get("masculine", plain), row.get("feminine", plain)
        return {**words, "neutral": row[form], "male": male, "female": female}

    words = {of: forms_of(of) for of in lexicon.nouns}
    words |= {of: {"neutral": things.string(of)} for of in lexicon.split_of if of not in words}
    openings = file.strings("openings") if file.data.get("openings") else ()
    said = {
        "pairs": (pair_of(people),),
        "adjectives": (pair_of(file.table("adjectives")),),
        "templates": {of: _templates(file.table("templates"), of, explicit) for of in SPLITS},
        "language": Language(name, openings, (stated.female, stated.male)),
    }
    return Translation(**{**vars(lexicon), **said}, form=form, words=words)


def refuse_other_languages(lexicon: Lexicon, what: str) -> None:
    """Refuse by an `OptionError` what is about English words."""
    if (language := language_of(lexicon)) is not None:
        raise OptionError(f"{what} is for English, not {language.name}; needed an English run")


def language_of(lexicon: Lexicon) -> Language | None:
    """Return the language of a lexicon; None for English."""
    return lexicon.language if isinstance(lexicon, Translation) else None


def _templates(table: TomlTable, split: str, explicit: Sequence[str]) -> Templates:
    """Put the ways to say the gender into the neutral templates of a split."""
    neutral = checked_templates(table, split, {"subject"})
    return Templates(
        neutral, tuple(of.replace("{subject}", how) for how in explicit for of in neutral)
    )
