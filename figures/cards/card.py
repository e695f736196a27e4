"""The bias card of a run, new or put into an existing card, and the card of its correction."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from figures.cards.evidence import Evidence, hub_id
from figures.cards.section import BEGIN, END, Markdown, bias_section, plain, render
from figures.text.terms import SPLITS, measures_of
from probe.errors import DataError
from probe.io.files import atomic, one_line
from probe.run.evaluation.measurement import SIDES

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

TASK = "text-to-image"
DATASET = "moesd-probe"
"""Type of the data set of every result that is ours, by which an update finds it."""


@dataclass(frozen=True, eq=False)
class CardResult:
    """A bias card, and the file it was written to."""

    text: str
    """The whole card: front matter, title, section."""
    section: str
    """The section alone, with its markers."""
    model_index: list[dict[str, Any]]
    """Our results, as they are written in the front matter."""
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
        names = ("file", "was_updated", "model_index", "section")
        return {name: getattr(self, name) for name in names}


def bias_card(run: Path, path: Path | None = None) -> CardResult:
    """Compose the bias card of a run that has been evaluated; without a network.

    The card is written to ``path`` if there is no such file. If there is one, the text between its
    markers and our results in its front matter are replaced; comments in the front matter are lost.
    """
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.repocard_data import eval_results_to_model_index

    evidence = Evidence.gather(run)
    section, results = bias_section(evidence), _eval_results(evidence)
    was_updated = path is not None and (path.exists() or path.is_symlink())
    if path is not None and was_updated:
        card = _updated(path, section, results, model=evidence.model)
    else:
        data = ModelCardData(pipeline_tag=TASK, model_name=evidence.model, eval_results=results)
        title = f"# {plain(evidence.model)}"
        card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{title}\n\n{section}\n")
    if path is not None:
        with atomic(path) as temporary:
            card.save(temporary)
            if was_updated:
                shutil.copymode(path, temporary)
    index = eval_results_to_model_index(evidence.model, results)
    return CardResult(str(card), section, index, str(path) if path else None, was_updated)


def correction_card(run: Path) -> str:
    """Compose the model card of a run's correction: use, training, bias and limits."""
    from huggingface_hub import ModelCardData

    evidence = Evidence.gather(run)
    config, train = evidence.run.config, evidence.run.config.train
    data = ModelCardData(
        library_name="diffusers",
        base_model=hub_id(config.model),
        tags=[TASK, "fairness", "moesd"],
        model_name=f"MoESD for {evidence.model}",
        eval_results=_eval_results(evidence),
    )
    text = render(
        "correction.md.j2",
        front_matter=Markdown(data.to_yaml()),
        model=evidence.model,
        model_literal=Markdown(repr(evidence.model)),
        groups=evidence.groups,
        revision=evidence.run.revision,
        settings=asdict(train) | {"recipe": train.recipe_line},
        is_for_everyone=train.corrects_everyone,
        corrected=train.attributes.replace("_", " ").replace(",", " and "),
        bias=bias_section(evidence),
    )
    return f"{text}\n"


def _eval_results(evidence: Evidence) -> list[EvalResult]:
    """Lay out every fairness figure of a run, by split, side and measure.

    The data set is the run's neutral prompts: its ``config`` is the attribute, its ``revision`` the
    hash of the words, and its ``args`` say how many occupations and images. A metric's ``config``
    is the side; its ``args`` hold its 95 % confidence limits and the noise floor.
    """
    from huggingface_hub import EvalResult

    quality = evidence.quality
    found = []
    for split, title in SPLITS:
        if split != "all" and split not in quality["base"]:
            continue
        n_subjects, n_images = evidence.size(split)
        about = f"Neutral prompts about {n_subjects} occupations"
        for side in SIDES.values():
            figures = quality[side] if split == "all" else quality[side][split]
            found += [
                EvalResult(
                    task_type=TASK,
                    dataset_type=DATASET,
                    dataset_name=about if split == "all" else f"{about} ({title.lower()})",
                    dataset_config=quality["attribute"],
                    dataset_split=split,
                    dataset_revision=evidence.prompt_set,
                    dataset_args={"n_subjects": n_subjects, "n_images": n_images},
                    metric_type=key,
                    metric_name=f"{name}, {side}",
                    metric_config=side,
                    metric_value=figures[key]["value"],
                    metric_args={
                        "low": figures[key]["low"],
                        "high": figures[key]["high"],
                        "noise_floor": figures[key]["floor"],
                    },
                )
                for key, (name, _) in measures_of(len(evidence.values)).items()
            ]
    return found


def _updated(path: Path, section: str, results: list[EvalResult], *, model: str) -> ModelCard:
    """Read a card, and replace the text between its markers and our results among all others."""
    from huggingface_hub import ModelCard

    if path.is_dir():
        raise DataError(f"{path} is a folder; needed a file, e.g. {path / 'README.md'}")
    if path.is_symlink():
        raise DataError(f"{path} is a symbolic link to {path.readlink()}; name that file itself")
    try:
        card: Any = ModelCard.load(path)
    except Exception as error:  # whatever its YAML parser raises, which is no dependency of ours
        raise DataError(
            f"{path} is no model card ({one_line(error)}); correct it, or name another file"
        ) from error
    before, begin, rest = card.text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError(
            f"{path} exists and has no place for the section; put the lines {BEGIN} and {END} "
            "where it should be, or name a new file"
        )
    newline = "\r\n" if "\r\n" in card.text else "\n"
    card.text = before + section.replace("\n", newline) + after
    others = [of for of in card.data.eval_results or [] if of.dataset_type != DATASET]
    card.data.eval_results = [*others, *results]
    card.data.model_name = card.data.model_name or model
    return cast("ModelCard", card)
