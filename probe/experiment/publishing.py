"""A correction to give away: its files, and a model card made of the run's own figures."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probe.artifacts import atomic, read_json
from probe.errors import DataError
from probe.experiment.evaluating import QUALITY
from probe.experiment.run import Run
from probe.experiment.training import parts
from probe.images.fairness import MEASURES

CARD = "README.md"
FIGURES = "figures.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

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
- It corrects towards equal shares of two perceived genders; it knows no others, and what the
  pictures show was told by a classifier, not by people.
- It was trained and measured on prompts about occupations; other prompts may pass uncorrected or be
  corrected where they should not be.
- It fits this text encoder, vocabulary and image model alone; any other is refused.
- Equal shares of pictures are not fairness: how people are shown is not measured here.
"""
_TINYTOWN = """\
- `tinytown` is a drawn world that the method is studied on. Its figures say nothing about Stable
  Diffusion or any other real model.
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
    quality, _ = read_json(run.folder / QUALITY, kind="quality")
    folder.mkdir(parents=True, exist_ok=True)
    names = [Path(name).name for name in parts(run)]
    for name, source in zip(names, parts(run), strict=True):
        with atomic(folder / name) as temporary:
            shutil.copyfile(run.folder / source, temporary)
    with atomic(folder / FIGURES) as temporary:
        shutil.copyfile(run.folder / QUALITY, temporary)
    with atomic(folder / CARD) as temporary:
        temporary.write_text(model_card(run, quality), encoding="utf-8")
    return PublishResult(str(folder), (*names, FIGURES, CARD))


def model_card(run: Run, quality: dict[str, Any]) -> str:
    """Compose the card: what it is, what it was trained and measured on, and its limits.

    Parameters
    ----------
    quality : dict
        What ``evaluate`` found.
    """
    model, train = run.config.model, run.config.train
    trained = sum(not job.held_out for job in run.lexicon.occupations)
    held_out = len(run.lexicon.occupations) - trained
    base = f"base_model: {model}\n" if _HUB_ID.fullmatch(model) else ""
    settings = "\n".join(f"| {name} | {value} |" for name, value in asdict(train).items())
    return (
        f"---\nlibrary_name: diffusers\n{base}tags:\n- text-to-image\n- fairness\n- moesd\n---\n\n"
        f"# A MoESD correction for {model}\n\n"
        "A gate, a special token and expert adapters that change the prompts which lean to one "
        "gender, and leave all others alone. The base model's weights stay as they are.\n\n"
        f"{_USE.format(model=model)}\n"
        "## Trained on\n\n"
        f"Prompts about {trained} occupations; the other {held_out} of the lexicon taught nothing. "
        f"Base model revision `{run.revision}`.\n\n"
        f"| setting | value |\n| --- | --- |\n{settings}\n\n"
        "## Measured on\n\n"
        f"{_measured(quality)}\n"
        f"## Limits\n\n{_LIMITS}{_TINYTOWN if model == 'tinytown' else ''}"
    )


def _measured(quality: dict[str, Any]) -> str:
    n = quality["n_images"]
    lines = [
        f"{n['base']} pictures of each model, {n['per_subject']} of each occupation, from equal "
        f"noise; share of {quality['value']!r} by the classifier. In brackets 95 % intervals; the "
        "noise floor is what a perfectly fair model would score at this number of pictures.\n",
        "| figure | base | corrected | noise floor |",
        "| --- | --- | --- | --- |",
    ]
    for split, title in (("", ""), ("trained", ", trained on"), ("held_out", ", held out")):
        for measure in MEASURES if not split else ("mad",):
            found = [quality[side] for side in ("base", "corrected")]
            pair = [(side[split] if split else side)[measure] for side in found]
            floor = f"{pair[0]['floor']:.3f}"
            lines.append(_row(f"{measure.upper()}{title}", pair, floor))
    for key, title in (
        ("subject_recognised", "occupation recognised"),
        ("explicit_honoured", "explicit prompts honoured"),
        ("clip_score", "CLIP score"),
    ):
        lines.append(_row(title, [quality[side][key] for side in ("base", "corrected")], ""))
    return "\n".join(lines) + "\n"


def _row(title: str, pair: list[dict[str, float]], floor: str) -> str:
    told = [f"{x['value']:.3f} [{x['low']:.3f}, {x['high']:.3f}]" for x in pair]
    return f"| {title} | {told[0]} | {told[1]} | {floor} |"
