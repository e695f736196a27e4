"""The fairness figures of a run as programs of the Hugging Face hub read them: EvalResults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.cards.evidence import Evidence
from figures.text.terms import SPLITS, measures_of
from probe.run.evaluation.measurement import SIDES

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "text-to-image"
DATASET = "moesd-probe"
"""Type of the data set of every result that is ours, by which it is known again."""


def eval_results(evidence: Evidence) -> list[EvalResult]:
    """Lay out every fairness figure of a run, by split, side and measure.

    Returns
    -------
    list of EvalResult
        The data set is the run's neutral prompts: its ``config`` is the attribute, its ``split``
        all, trained or held_out, its ``revision`` the hash of the words, and its ``args`` say how
        many occupations and images of each model. A metric's ``config`` is the side, base or
        corrected; its ``args`` hold the ends of its 95 % interval and the noise floor.
    """
    from huggingface_hub import EvalResult

    quality = evidence.quality
    found = []
    for split, title in SPLITS:
        n_subjects, n_images = evidence.size(split)
        for side in SIDES.values():
            figures = quality[side] if split == "all" else quality[side][split]
            found += [
                EvalResult(
                    task_type=TASK,
                    dataset_type=DATASET,
                    dataset_name=f"Neutral prompts about {n_subjects} occupations"
                    + ("" if split == "all" else f" ({title.lower()})"),
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
