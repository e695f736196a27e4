"""Replace the bias section of an existing model card, and change nothing else in it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from figures.cards.results import DATASET
from figures.cards.section import BEGIN, END
from probe.errors import DataError
from probe.io.files import atomic, one_line

Index = list[dict[str, Any]]

_KEY = "model-index"
_BLOCK = re.compile(
    r"^[\"']?model-index[\"']?[ \t]*:.*?"
    r"(?=^(?:[ \t]*\#[^\n]*\n|[ \t]*\r?\n)*(?:[^\s\#\-]|\Z))",
    re.MULTILINE | re.DOTALL,
)


def update_card(path: Path, section: str, index: Index) -> None:
    """Replace the text between the markers of a model card, and our results in its front matter.

    Everything else keeps its bytes, line endings and file mode. In the front matter only
    ``model-index`` is rewritten, with the results of others in it.

    Parameters
    ----------
    path : Path
        A Markdown file with one pair of the markers `BEGIN` and `END`.
    section : str
        As `figures.cards.section.bias_section` writes it, markers included.
    index : list of dict
        A model index with one model, whose results are put beside those of others.

    Raises
    ------
    DataError
        If the file cannot be read, is a symbolic link, is not UTF-8, does not have each marker
        once, or has a front matter that cannot be updated. It is then unchanged.
    """
    from huggingface_hub import ModelCard

    text = _read(path)
    head, body = _split(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    start, end = _place(path, body)
    body = body[:start] + section.replace("\n", newline) + body[end:]
    had = _metadata(path)
    wanted = {**had, _KEY: _merged(path, had.get(_KEY) or [], index)}
    with atomic(path) as temporary:
        temporary.write_bytes((_updated(head, wanted[_KEY], newline) + body).encode("utf-8"))
        if not _holds(temporary, wanted):
            raise DataError(
                f"{path}: {_KEY} of the front matter cannot be replaced where it stands; write it "
                "as an indented list of its own lines, or take it out"
            )
        try:
            ModelCard.load(temporary)
        except ValueError as error:
            raise DataError(
                f"{path}: {_KEY} of the front matter holds results that are none "
                f"({one_line(error)}); correct or remove them"
            ) from error
        shutil.copymode(path, temporary)


def _read(path: Path) -> str:
    if path.is_symlink():
        raise DataError(f"{path} is a symbolic link to {path.readlink()}; name that file itself")
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}; name another file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8; convert it, or name another file") from error


def _split(text: str) -> tuple[str, str]:
    """Part a card behind the line that ends its front matter, if it has one."""
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    mark = "\ufeff" if text.startswith("\ufeff") else ""
    match = REGEX_YAML_BLOCK.match(text.removeprefix(mark))
    end = len(mark) + (match.end() if match else 0)
    return text[:end], text[end:]


def _place(path: Path, body: str) -> tuple[int, int]:
    n_begin, n_end = body.count(BEGIN), body.count(END)
    if n_begin == n_end == 0:
        raise DataError(
            f"{path} exists and has no place for the section; put the lines {BEGIN} and {END} "
            "where it should stand, or name a new file"
        )
    start, end = body.find(BEGIN), body.find(END)
    if (n_begin, n_end) != (1, 1) or end < start:
        raise DataError(
            f"{path} holds {BEGIN} {n_begin} times and {END} {n_end} times; needed each once, "
            "the one before the other"
        )
    return start, end + len(END)


def _metadata(path: Path) -> dict[str, Any]:
    from huggingface_hub.repocard import metadata_load

    try:
        return metadata_load(path) or {}
    except Exception as error:  # whatever its YAML parser raises, which is no dependency of ours
        raise DataError(
            f"{path}: the front matter is not YAML ({one_line(error)}); correct it"
        ) from error


def _holds(path: Path, wanted: dict[str, Any]) -> bool:
    try:
        return _metadata(path) == wanted
    except DataError:
        return False


def _merged(path: Path, had: Any, ours: Index) -> Index:
    """Put our results in place of the older ones that are ours, behind those of others."""
    if not isinstance(had, list) or not all(
        isinstance(model, dict) and isinstance(model.get("results"), list) for model in had
    ):
        raise DataError(
            f"{path}: {_KEY} of the front matter is no list of models with results; correct or "
            "remove it"
        )
    kept = [
        {**model, "results": [result for result in model["results"] if not _is_ours(result)]}
        for model in had
    ]
    if not kept:
        return ours
    name = ours[0]["name"]
    model = next((model for model in kept if model.get("name") == name), kept[0])
    model["results"] += ours[0]["results"]
    return kept


def _is_ours(result: Any) -> bool:
    dataset = result.get("dataset") if isinstance(result, dict) else None
    return isinstance(dataset, dict) and dataset.get("type") == DATASET


def _updated(head: str, index: Index, newline: str) -> str:
    """The front matter with another model index and not a byte changed beside it."""
    from huggingface_hub import CardData

    data = CardData()
    data[_KEY] = index
    block = data.to_yaml(line_break=newline) + newline
    if not head.removeprefix("\ufeff"):
        return f"{head}---{newline}{block}---{newline}"
    inside, fence = head[: head.rindex("---")], head[head.rindex("---") :]
    if _BLOCK.search(inside):
        return _BLOCK.sub(lambda _: block, inside, count=1) + fence
    return inside + block + fence
