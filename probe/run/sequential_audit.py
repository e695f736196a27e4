"""Audit a run's model image by image, until each occupation's share is settled."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from probe.audit.missing_label_bounds import is_seen
from probe.errors import OptionError
from probe.images.plan import METADATA, GenerationPlan
from probe.run.evaluation import evaluators
from probe.run.evaluation.looking import look_with
from probe.run.folder import Run
from probe.run.images import make_images
from probe.run.intervention import intervention
from probe.stats.mean import mean_interval
from probe.stats.sequential import FAIR, OPEN, UNFAIR, Band, SequentialAudit

SIDES = {"base": "base", "corrected": "moesd"}
"""Side as results name it -> its folder."""
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
    """Images that each subject took, with those in which nothing was seen."""
    confidence: float
    """Confidence of each subject's sequence; that of all together is ``1 - ERROR``."""

    def to_json(self) -> dict[str, Any]:
        """Everything; ``saving`` is the share of ``n_max`` images a subject not needed."""
        saved = 1 - np.array(list(self.made.values())) / self.n_max
        verdicts = [audit.verdict for audit in self.subjects.values()]
        interval = None
        if len(saved) > 1:
            interval = asdict(mean_interval(saved, bounds=(0.0, 1.0), unit="occupations"))
        named = {name: getattr(self, name) for name in ("side", "value", "confidence", "n_max")}
        return named | {
            "band": asdict(self.band),
            "family_confidence": 1 - ERROR,
            "n_images": sum(self.made.values()),
            "saving": float(saved.mean()),
            "saving_interval": interval,
            "verdicts": {verdict: verdicts.count(verdict) for verdict in (FAIR, UNFAIR, OPEN)},
            "subjects": [
                {"subject": name, **asdict(audit), "n_made": self.made[name]}
                for name, audit in self.subjects.items()
            ],
        }


def audit_until_settled(
    run: Run, *, band: Band, side: str = "corrected", n_max: int = 200, n_batch: int = 8
) -> StoppedAudit:
    """Make images of each occupation, ``n_batch`` at a time, until its share is settled.

    The images are the first of those that ``generate`` would make, from the same noise; what it or
    an earlier audit made is copied. They stay in ``RUN/audit/SIDE``, a folder a round, so that an
    audit which was interrupted, or is asked for more images, continues its sequences. Each
    subject's interval is a `confidence_sequence`, which is valid although it decides when to stop,
    at the confidence ``1 - 0.05 / n_subjects`` (Bonferroni). Images are independent draws with any
    router: a route depends on the image's own seed, and the seeds of a plan are random numbers.
    """
    if side not in SIDES:
        raise OptionError(f"side is {side!r}; needed one of {', '.join(SIDES)}")
    if n_max < 1 or n_batch < 1:
        raise OptionError(f"n_max is {n_max} and n_batch {n_batch}; needed at least 1")
    value, attribute = run.config.evaluate.female, run.config.evaluate.attribute
    made = run.config.generate
    plan = GenerationPlan.build(run.lexicon, n_images=n_max, seed=made.seed, split=made.scored_on)
    table = plan.table
    look = _look_at(run, SIDES[side], table["prompt"])
    neutral = table[table["kind"] == "neutral"].groupby("subject", sort=False)
    images = {str(name): rows for name, rows in neutral}
    n_made, found = dict.fromkeys(images, 0), dict.fromkeys(images, SequentialAudit.start())
    confidence = 1 - ERROR / len(images)
    progress, n_all = run.progress_on(f"auditing the {side} model"), n_max * len(images)
    for start in range(0, n_max, n_batch):
        still = [name for name, audit in found.items() if audit.verdict == OPEN]
        if not still:
            break
        rows = pd.concat([images[name].iloc[start : start + n_batch] for name in still])
        labels = look(rows, f"{start:05d}-{n_batch}")
        for name, of_subject in labels.groupby("subject"):
            n_hits = int((of_subject[attribute] == value).sum())
            n_seen = int(is_seen(of_subject, attribute).sum())
            n_made[name] += len(of_subject)
            found[name] = found[name].continued(n_hits, n_seen, band, confidence=confidence)
        if progress is not None:
            progress(min(start + n_batch, n_max) * len(images), n_all)
    return StoppedAudit(side, value, band, n_max, found, n_made, confidence)


def _look_at(
    run: Run, side: str, prompts: pd.Series
) -> Callable[[pd.DataFrame, str], pd.DataFrame]:
    """Return a function that makes the images of a round, unless a folder has them, and labels."""
    classifier, known = evaluators.load_classifier(run), dict[str, Any]()
    moesd = None if side == "base" else run.load_correction()
    pipeline = run.load_pipeline(encoders=() if moesd is None else moesd.encoders)
    method = None if moesd is None else intervention(run, moesd, pipeline, prompts)

    def look(rows: pd.DataFrame, name: str) -> pd.DataFrame:
        folder = run.folder / "audit" / side / name
        others = [run.folder / "images" / side, *sorted(folder.parent.glob("*-*"))]
        table = make_images(
            run,
            pipeline,
            GenerationPlan(rows.reset_index(drop=True)),
            folder,
            intervention=method,
            reuse=[of for of in others if of != folder and (of / METADATA).is_file()] or None,
            known=known,
            label="images of this round",
        )
        files = [folder / file for file in table["file_name"]]
        seen = pd.concat(look_with(run, "classifier", files, classifier.label), ignore_index=True)
        attribute = run.config.evaluate.attribute
        return table.assign(**{attribute: seen[attribute].to_numpy()})

    return look
