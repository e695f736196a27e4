"""Pictures of a run's model that are made until each subject's share is settled, and no longer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.errors import OptionError
from probe.images.plan import METADATA, GenerationPlan
from probe.run.evaluation import evaluators
from probe.run.evaluation.missing_labels import is_seen
from probe.run.folder import Run
from probe.run.image_batches import draw_pictures
from probe.stats.interval import Interval
from probe.stats.mean import mean_interval
from probe.stats.sequential import (
    FAIR,
    OPEN,
    UNFAIR,
    Band,
    SequentialAudit,
    confidence_sequence,
)

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

    from probe.images.intervention import Intervention

SIDES = {"base": "base", "corrected": "moesd"}
"""Who makes the pictures, as people call it, and its folder."""


@dataclass(frozen=True)
class StoppedAudit:
    """What became of each subject, and what stopping early saved."""

    side: str
    value: str
    """The value whose share is audited."""
    band: Band
    n_max: int
    subjects: Mapping[str, SequentialAudit]
    made: Mapping[str, int]
    """Pictures that each subject took, those in which nothing was seen among them."""

    @property
    def n_images(self) -> int:
        """Pictures that were made, of all subjects."""
        return sum(self.made.values())

    @property
    def saving(self) -> float:
        """Share of the pictures of a fixed audit, ``n_max`` each, that were not needed."""
        return 1 - self.n_images / (self.n_max * len(self.subjects))

    def saving_interval(self) -> Interval | None:
        """`saving` with its 95 % interval over subjects; None of a single one."""
        saved = 1 - np.array(list(self.made.values())) / self.n_max
        if len(saved) < 2:
            return None
        found = mean_interval(saved)
        return Interval(found.value, max(0.0, found.low), min(1.0, found.high))

    def summary(self) -> str:
        """A line a subject, then what was saved."""
        lines = [
            f"{name[:32]:<34}{found.verdict:<9}{found.value:.2f} "
            f"[{found.low:.2f}, {found.high:.2f}]  n = {found.n}"
            for name, found in self.subjects.items()
        ]
        counted = {of: self._count(of) for of in (FAIR, UNFAIR, OPEN)}
        told = ", ".join(f"{n} {verdict}" for verdict, n in counted.items())
        lines.append(
            f"share of {self.value} in pictures of the {self.side} model against "
            f"{self.band.low:g} to {self.band.high:g}: {told}; {self.n_images} pictures in place "
            f"of {self.n_max * len(self.subjects)}, {100 * self.saving:.0f} % saved"
        )
        if (ends := self.saving_interval()) is not None:
            lines[-1] += f" [{100 * ends.low:.0f}, {100 * ends.high:.0f}]"
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return {
            "side": self.side,
            "value": self.value,
            "band": asdict(self.band),
            "n_max": self.n_max,
            "n_images": self.n_images,
            "saving": self.saving,
            "saving_interval": asdict(ends) if (ends := self.saving_interval()) else None,
            "verdicts": {verdict: self._count(verdict) for verdict in (FAIR, UNFAIR, OPEN)},
            "subjects": [
                {"subject": name, **asdict(found), "n_made": self.made[name]}
                for name, found in self.subjects.items()
            ],
        }

    def _count(self, verdict: str) -> int:
        return sum(found.verdict == verdict for found in self.subjects.values())


def audit_until_settled(
    run: Run, *, band: Band, side: str = "corrected", n_max: int = 200, n_batch: int = 8
) -> StoppedAudit:
    """Make pictures of each occupation, a few at a time, until its share is settled.

    The pictures are the first of those that ``generate`` would make, from the same noise; what it
    made already is copied. They stay in ``RUN/audit/SIDE``, a folder a round, so that an audit
    which was stopped goes on where it was. Each subject's interval is a `confidence_sequence`, and
    so it is valid although it decides when to stop; it is not adjusted for the number of subjects.

    Parameters
    ----------
    run : Run
        Trained, if the corrected model is audited.
    band : Band
        Shares of the run's ``female`` value that count as fair.
    side : str, default="corrected"
        ``"base"`` or ``"corrected"``.
    n_max : int, default=200
        Pictures of a subject after which its question stays open.
    n_batch : int, default=8
        Pictures of a subject in one round.

    Returns
    -------
    StoppedAudit

    Raises
    ------
    ValueError
        If there is no such side, or a number of pictures is below 1.
    """
    if side not in SIDES:
        raise OptionError(f"side is {side!r}; needed one of {', '.join(SIDES)}")
    if n_max < 1 or n_batch < 1:
        raise OptionError(f"n_max is {n_max} and n_batch {n_batch}; needed at least 1")
    value, classifier = run.config.evaluate.female, evaluators.load_classifier(run)
    pipeline = run.load_pipeline()
    method = _intervention(run, side, pipeline)
    table = GenerationPlan.build(run.lexicon, n_images=n_max, seed=run.config.generate.seed).table
    plan = table[table["kind"] == "neutral"]
    pictures = {str(name): rows for name, rows in plan.groupby("subject", sort=False)}
    hits, seen, made_of = (dict.fromkeys(pictures, 0) for _ in range(3))
    found = {name: _settle(0, 0, band) for name in pictures}
    known: dict[str, torch.Tensor] = {}
    tell, n_all = run.progress_on(f"auditing the {side} model"), n_max * len(pictures)
    for made in range(0, n_max, n_batch):
        still = [name for name, audit in found.items() if audit.verdict == OPEN]
        if not still:
            break
        rows = pd.concat([pictures[name].iloc[made : made + n_batch] for name in still])
        labels = _look(
            run, pipeline, method, rows, f"{SIDES[side]}/{made:05d}-{n_batch}", classifier, known
        )
        for name, of_subject in labels.groupby("subject"):
            made_of[str(name)] += len(of_subject)
            hits[str(name)] += int((of_subject[run.config.evaluate.attribute] == value).sum())
            seen[str(name)] += int(is_seen(of_subject, run.config.evaluate.attribute).sum())
        found |= {name: _settle(hits[name], seen[name], band) for name in still}
        if tell is not None:
            tell(min(made + n_batch, n_max) * len(pictures), n_all)
    return StoppedAudit(side, value, band, n_max, found, made_of)


def _look(
    run: Run,
    pipeline: StableDiffusionPipeline,
    method: Intervention | None,
    rows: pd.DataFrame,
    name: str,
    classifier: Any,
    known: dict[str, torch.Tensor],
) -> pd.DataFrame:
    """Make the pictures of one round, if they are not there, and label them."""
    folder = run.folder / "audit" / name
    plan = GenerationPlan(rows.reset_index(drop=True))
    made = run.folder / "images" / Path(name).parent
    table = draw_pictures(
        run,
        pipeline,
        plan,
        folder,
        intervention=method,
        reuse=[made] if (made / METADATA).is_file() else None,
        known=known,
        told="pictures of this round",
    )
    seen = classifier.label([folder / file for file in table["file_name"]])
    attribute = run.config.evaluate.attribute
    return table.assign(**{attribute: seen[attribute].to_numpy()})


def _intervention(run: Run, side: str, pipeline: StableDiffusionPipeline) -> Intervention | None:
    if side == "base":
        return None
    from probe.moesd.model import MoESD
    from probe.run.files import MOESD
    from probe.run.routing import intervention

    return intervention(run, MoESD.load(run.folder / MOESD, run.load_encoder()), pipeline)


def _settle(hits: int, n: int, band: Band) -> SequentialAudit:
    low, high = (float(end) for end in confidence_sequence(np.array(hits), np.array(n)))
    value = hits / n if n else 0.5
    return SequentialAudit(n, hits, value, low, high, band.verdict(low, high))
