"""A correction to give away: its files, and a model card made of the run's own figures."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probe.errors import DataError
from probe.io.artifacts import atomic
from probe.run.cards.evidence import Evidence, hub_id
from probe.run.cards.markdown import plain, table
from probe.run.cards.results import eval_results
from probe.run.cards.section import bias_section
from probe.run.folder import Run
from probe.run.stages.evaluate import QUALITY
from probe.run.stages.train import parts

CARD = "README.md"
FIGURES = "figures.json"

_USE = """\
```python
from diffusers import StableDiffusionPipeline
from probe import MoESD

pipeline = StableDiffusionPipeline.from_pretrained({model!r})
with MoESD.from_pretrained(FOLDER).attach(pipeline):
    image = pipeline("a photo of a nurse").images[0]
```
"""
_LIMITS = """\
- It corrects towards equal shares of two perceived genders; it knows no others.
- It was trained and measured on prompts about occupations; other prompts may pass uncorrected or be
  corrected where they should not be.
- It fits this text encoder, vocabulary and image model alone; any other is refused.
"""


@dataclass(frozen=True)
class PublishResult:
    """What was written."""

    folder: str
    files: tuple[str, ...]

    def summary(self) -> str:
        """One line."""
        return f"{self.folder}: {', '.join(self.files)}"

    def to_json(self) -> dict[str, Any]:
        """The folder and its files."""
        return asdict(self)


def publish(run: Run, folder: Path) -> PublishResult:
    """Write a folder as hubs take it: the correction, its card, and the figures behind the card.

    Raises
    ------
    DataError
        If the folder holds anything already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} holds something already; needed a new or an empty folder")
    card = model_card(Evidence.gather(run))
    folder.mkdir(parents=True, exist_ok=True)
    names = [Path(name).name for name in parts(run)]
    for name, source in zip(names, parts(run), strict=True):
        with atomic(folder / name) as temporary:
            shutil.copyfile(run.folder / source, temporary)
    with atomic(folder / FIGURES) as temporary:
        shutil.copyfile(run.folder / QUALITY, temporary)
    with atomic(folder / CARD) as temporary:
        temporary.write_text(card, encoding="utf-8")
    return PublishResult(str(folder), (*names, FIGURES, CARD))


def model_card(evidence: Evidence) -> str:
    """Compose the card: what it is, what it was trained on, the bias section, and its limits."""
    from huggingface_hub import ModelCardData

    run, model = evidence.run, evidence.model
    trained, held_out = (evidence.size(split)[0] for split in ("trained", "held_out"))
    data = ModelCardData(
        library_name="diffusers",
        base_model=hub_id(run.config.model),
        tags=["text-to-image", "fairness", "moesd"],
        model_name=f"MoESD for {model}",
        eval_results=eval_results(evidence),
    )
    settings = [[name, plain(str(value))] for name, value in asdict(run.config.train).items()]
    return (
        f"---\n{data.to_yaml()}\n---\n\n"
        f"# A MoESD correction for {plain(model)}\n\n"
        "A gate, a special token and expert adapters that change the prompts which lean to one "
        "gender, and leave all others alone. The base model's weights stay as they are.\n\n"
        f"{_USE.format(model=model)}\n"
        "## Trained on\n\n"
        f"Prompts about {trained} occupations; the other {held_out} of the lexicon taught nothing. "
        f"Base model revision `{run.revision}`.\n\n"
        f"{table(['setting', 'value'], settings)}\n\n"
        f"{bias_section(evidence)}\n\n"
        f"## Limits of the correction\n\n{_LIMITS}"
    )
