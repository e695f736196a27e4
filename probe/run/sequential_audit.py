"""Audit a run's model picture by picture, until each occupation's share is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.audit.missing_label_bounds import is_seen
from probe.errors import OptionError
from probe.images.plan import METADATA, GenerationPlan
from probe.run.evaluation import evaluators
from probe.run.folder import Run
from probe.run.image_batches import draw_pictures
from probe.stats.mean import mean_interval
from probe.stats.sequential import FAIR, OPEN, UNFAIR, Band, SequentialAudit

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

    from probe.images.intervention import Intervention

SIDES = {"base": "base", "corrected": "moesd"}
"""Side as people call it, and its folder."""
DEPENDENT = ("stratified", "minimal")
"""Routings that spread experts evenly over the seeds of a prompt: its pictures are no
independent draws, which a confidence sequence assumes."""
ERROR = 0.05
"""Probability that any verdict of an audit is wrong, at most."""


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
    confidence: float
    """Confidence of each subject's sequence; that of all together is ``1 - ERROR``."""

    def to_json(self) -> dict[str, Any]:
        """Everything; ``saving`` is the share of ``n_max`` pictures a subject not needed."""
        saved = 1 - np.array(list(self.made.values())) / self.n_max
        verdicts = [audit.verdict for audit in self.subjects.values()]
        over = (
            mean_interval(saved, bounds=(0.0, 1.0), unit="occupations") if len(saved) > 1 else None
        )
        return {
            "side": self.side,
            "value": self.value,
            "band": asdict(self.band),
            "confidence": self.confidence,
            "family_confidence": 1 - ERROR,
            "n_max": self.n_max,
            "n_images": sum(self.made.values()),
            "saving": float(saved.mean()),
            "saving_interval": asdict(over) if over else None,
            "verdicts": {verdict: verdicts.count(verdict) for verdict in (FAIR, UNFAIR, OPEN)},
            "subjects": [
                {"subject": name, **asdict(audit), "n_made": self.made[name]}
                for name, audit in self.subjects.items()
            ],
        }


def audit_until_settled(
    run: Run, *, band: Band, side: str = "corrected", n_max: int = 200, n_batch: int = 8
) -> StoppedAudit:
    """Make pictures of each occupation, a few at a time, until its share is settled.

    The pictures are the first of those that ``generate`` would make, from the same noise; what it
    or an earlier audit made is copied. They stay in ``RUN/audit/SIDE``, a folder a round, so that
    an audit which was interrupted, or is asked for more pictures, continues its sequences. Each
    subject's interval is a `confidence_sequence`, which is valid although it decides when to stop,
    at the confidence ``1 - 0.05 / n_subjects``: by Bonferroni, all intervals hold together with
    probability 0.95, so
    that the probability of any wrong verdict is at most 0.05.

    Parameters
    ----------
    run : Run
        Trained, if the corrected model is audited.
    band : Band
        Shares of the run's ``female`` value that count as fair.
    side : str, default="corrected"
        ``"base"`` or ``"corrected"``.
    n_max : int, default=200
        Pictures of a subject after which it stays open.
    n_batch : int, default=8
        Pictures of a subject in one round.

    Returns
    -------
    StoppedAudit

    Raises
    ------
    ValueError
        If there is no such side, a number of pictures is below 1, or the run's routing makes
        the pictures of a prompt depend on one another.
    """
    if side not in SIDES:
        raise OptionError(f"side is {side!r}; needed one of {', '.join(SIDES)}")
    if n_max < 1 or n_batch < 1:
        raise OptionError(f"n_max is {n_max} and n_batch {n_batch}; needed at least 1")
    routing = run.config.generate.routing
    if side == "corrected" and routing in DEPENDENT:
        raise OptionError(
            f"the routing is {routing!r}, which spreads experts evenly over the pictures of a "
            "prompt; a sequential audit needs independent pictures: generate a fixed number "
            "(`generate RUN --n-images N`, then `evaluate RUN`), or audit --side base"
        )
    value, classifier = run.config.evaluate.female, evaluators.load_classifier(run)
    pipeline = run.load_pipeline()
    method = _intervention(run, side, pipeline)
    table = GenerationPlan.build(run.lexicon, n_images=n_max, seed=run.config.generate.seed).table
    plan = table[table["kind"] == "neutral"]
    pictures = {str(name): rows for name, rows in plan.groupby("subject", sort=False)}
    made_of, found = dict.fromkeys(pictures, 0), dict.fromkeys(pictures, SequentialAudit.start())
    confidence, attribute = 1 - ERROR / len(pictures), run.config.evaluate.attribute
    known: dict[str, torch.Tensor] = {}
    progress, n_all = run.progress_on(f"auditing the {side} model"), n_max * len(pictures)
    for made in range(0, n_max, n_batch):
        still = [name for name, audit in found.items() if audit.verdict == OPEN]
        if not still:
            break
        rows = pd.concat([pictures[name].iloc[made : made + n_batch] for name in still])
        labels = _look(
            run, pipeline, method, rows, f"{SIDES[side]}/{made:05d}-{n_batch}", classifier, known
        )
        for name, of_subject in labels.groupby("subject"):
            n_hits = int((of_subject[attribute] == value).sum())
            n_seen = int(is_seen(of_subject, attribute).sum())
            made_of[str(name)] += len(of_subject)
            found[str(name)] = found[str(name)].continued(
                n_hits, n_seen, band, confidence=confidence
            )
        if progress is not None:
            progress(min(made + n_batch, n_max) * len(pictures), n_all)
    return StoppedAudit(side, value, band, n_max, found, made_of, confidence)


def _look(
    run: Run,
    pipeline: StableDiffusionPipeline,
    method: Intervention | None,
    rows: pd.DataFrame,
    name: str,
    classifier: Any,
    known: dict[str, torch.Tensor],
) -> pd.DataFrame:
    """Make the pictures of one round, where no other folder has them, and label them."""
    folder = run.folder / "audit" / name
    plan = GenerationPlan(rows.reset_index(drop=True))
    others = [run.folder / "images" / Path(name).parent, *sorted(folder.parent.glob("*-*"))]
    table = draw_pictures(
        run,
        pipeline,
        plan,
        folder,
        intervention=method,
        reuse=[of for of in others if of != folder and (of / METADATA).is_file()] or None,
        known=known,
        label="pictures of this round",
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
