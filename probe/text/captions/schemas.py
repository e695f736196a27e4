"""Sentences of WinoBias and Winogender, as prompts with what their authors say of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.lines import read_lines
from probe.text.prompt_files import PromptFile

_MALE = ("he", "him", "his", "himself")
_FEMALE = ("she", "her", "hers", "herself")


@dataclass(frozen=True)
class WinoBiasSentence:
    """A sentence with an occupation and the pronouns that mean it."""

    prompt: str
    gender: str
    """``"male"`` or ``"female"``: that of the marked pronouns."""
    pronoun: str
    """The first of them."""
    referent: str
    """Whom they mean, without its article: ``"developer"``."""
    number: int
    """As its line says."""


def read_winobias_line(path: Path, line: int, text: str) -> WinoBiasSentence:
    """Read ``1 [The developer] argued with the designer because [she] did not like the design.``

    Raises
    ------
    DataError
        If the line has no number, or does not mark one person and pronouns of one gender.
    """
    match = re.match(r"(\d+)\s+(.+)", text.strip())
    marked = [part.strip() for part in re.findall(r"\[(.*?)\]", text)]
    pronouns = [part.lower() for part in marked if part.lower() in (*_MALE, *_FEMALE)]
    people = [part for part in marked if part.lower() not in pronouns]
    genders = {"male" if pronoun in _MALE else "female" for pronoun in pronouns}
    if match is None or len(people) != 1 or len(genders) != 1:
        raise DataError(
            f"{path}, line {line}, marks {marked}; needed a number, one person and pronouns of one "
            "gender in square brackets: correct the line"
        )
    sentence = re.sub(r"\s+('s\b|[,.;])", r"\1", re.sub(r"[\[\]]", "", match[2]))
    return WinoBiasSentence(
        prompt=" ".join(sentence.split()),
        gender=genders.pop(),
        pronoun=pronouns[0],
        referent=re.sub(r"^(?:the|an?) ", "", people[0], flags=re.IGNORECASE),
        number=int(match[1]),
    )


def read_winobias(path: str | Path) -> PromptFile:
    """Read a file of WinoBias, or all of those in a folder, as prompts.

    Columns beside ``prompt``: ``gender`` (of the pronoun), ``pronoun``, ``referent`` (the
    occupation that it means), ``number``, ``stereotype`` (``"pro"`` or ``"anti"``), ``type`` (1:
    the meaning decides whom the pronoun means; 2: the syntax does) and ``part`` (``"dev"`` or
    ``"test"``). Feed ``table.to_csv`` to ``moesd-probe embed --prompts``.

    Raises
    ------
    DataError
        If there is no such file, or a line is not as WinoBias writes it.

    References
    ----------
    Zhao, Wang, Yatskar, Ordonez, Chang, *Gender Bias in Coreference Resolution: Evaluation and
    Debiasing Methods*, NAACL (2018).
    """
    path = Path(path)
    files = sorted(path.glob("*_stereotyped_type?.txt.*")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} has no file named like pro_stereotyped_type1.txt.dev; name one")
    rows: list[dict[str, Any]] = []
    for file in files:
        name = re.search(r"(pro|anti)_stereotyped_type(\d)\.txt\.(\w+)", file.name)
        about = name.groups() if name else ("", "", "")
        for line, text in read_lines(file):
            if text.strip():
                sentence = read_winobias_line(file, line, text)
                rows.append(
                    asdict(sentence) | dict(zip(("stereotype", "type", "part"), about, strict=True))
                )
    return _prompt_file(rows, path.name)


def read_winogender(path: str | Path) -> PromptFile:
    """Read the file ``all_sentences.tsv`` of Winogender as prompts.

    Columns beside ``prompt``: ``gender`` (``"male"``, ``"female"``, or ``"neutral"`` for "they"),
    ``occupation``, ``participant`` (the other person), and ``referent``, the one of the two that
    the pronoun means.

    Raises
    ------
    DataError
        If a line is not as Winogender writes it.

    References
    ----------
    Rudinger, Naradowsky, Leonard, Van Durme, *Gender Bias in Coreference Resolution*, NAACL (2018).
    """
    path = Path(path)
    rows = []
    for line, text in read_lines(path):
        if line == 1 or not text.strip():
            continue
        key, _, sentence = text.partition("\t")
        parts = key.split(".")
        if len(parts) != 5 or parts[2] not in ("0", "1") or not sentence.strip():
            raise DataError(
                f"{path}, line {line}, begins with {key!r}; needed "
                "occupation.participant.0-or-1.gender.txt, a tab and a sentence: correct the line"
            )
        occupation, participant, answer, gender, _ = parts
        rows.append(
            {
                "prompt": sentence.strip(),
                "gender": gender,
                "occupation": occupation,
                "participant": participant,
                "referent": participant if answer == "1" else occupation,
            }
        )
    return _prompt_file(rows, path.name)


def _prompt_file(rows: Iterable[dict[str, Any]], source: str) -> PromptFile:
    import pandas as pd

    table = pd.DataFrame(list(rows))
    if table.empty:
        raise DataError(f"{source} holds no sentence; needed at least one")
    unique = table.drop_duplicates("prompt", ignore_index=True)
    return PromptFile(
        unique,
        source=source,
        column="",
        n_empty=0,
        n_duplicates=len(table) - len(unique),
    )
