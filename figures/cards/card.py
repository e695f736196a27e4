"""The bias card of a run: returned, written, or put into an existing card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures.cards.evidence import Evidence
from figures.cards.markdown import plain
from figures.cards.results import TASK, eval_results
from figures.cards.section import bias_section
from probe.errors import DataError
from probe.io.files import atomic


@dataclass(frozen=True, eq=False)
class CardResult:
    """A bias card, and the file it was written to."""

    text: str
    """The whole card: front matter, title, section."""
    section: str
    """The section alone, with its markers."""
    model_index: list[dict[str, Any]]
    """The results, as they stand in the front matter."""
    file: str | None
    """The file; None if the card was only returned."""
    was_updated: bool
    """Whether the file existed before."""

    def summary(self) -> str:
        """Return the card, or one line about the file."""
        if self.file is None:
            return self.text.rstrip("\n")
        n = sum(len(result["metrics"]) for result in self.model_index[0]["results"])
        how = "its bias section was replaced" if self.was_updated else "a bias card was written"
        return f"{self.file}: {how}; {n} results in its front matter"

    def to_json(self) -> dict[str, Any]:
        """The section, the results and the file."""
        return {
            "file": self.file,
            "was_updated": self.was_updated,
            "model_index": self.model_index,
            "section": self.section,
        }


def bias_card(run: Path, path: Path | None = None) -> CardResult:
    """Compose the bias card of a run that has been evaluated; without a network.

    Parameters
    ----------
    path : Path, optional
        Written if there is no such file. If there is one, only what stands between its markers
        and our results in its front matter are replaced; see `update_card`.

    Raises
    ------
    DataError
        If the path is a folder, or a file that cannot be updated.
    """
    from huggingface_hub import ModelCardData
    from huggingface_hub.repocard_data import eval_results_to_model_index

    from figures.cards.updating import update_card

    evidence = Evidence.gather(run)
    section, results = bias_section(evidence), eval_results(evidence)
    data = ModelCardData(pipeline_tag=TASK, model_name=evidence.model, eval_results=results)
    text = f"---\n{data.to_yaml()}\n---\n\n# {plain(evidence.model)}\n\n{section}\n"
    index = eval_results_to_model_index(evidence.model, results)
    was_updated = False
    if path is not None:
        if path.is_dir():
            raise DataError(f"{path} is a folder; needed a file, e.g. {path / 'README.md'}")
        was_updated = path.exists() or path.is_symlink()
        if was_updated:
            update_card(path, section, index)
        else:
            with atomic(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
    return CardResult(text, section, index, None if path is None else str(path), was_updated)
