"""The figures by which methods are compared, and the fairest of the methods that are usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Counts
from probe.audit.failures import mean_over, share_over
from probe.audit.fairness import fairness_figures, paired_difference
from probe.audit.measures import count_labels
from probe.audit.missing_label_bounds import is_seen
from probe.errors import DegenerateDataError
from probe.images.quality.kid import kid
from probe.run.compare.methods import BASE, ORACLE
from probe.run.compare.rows import Seen
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.run.evaluation.side_effects import like_for_like, over_captions
from probe.stats.equivalence import noninferiority_p
from probe.stats.mean import mean_test
from probe.stats.resampling import Resampling

Found = dict[str, Any]

SPLITS = {
    "mad": ("trained", "held_out"),
    "mad_trained": ("trained",),
    "mad_held_out": ("held_out",),
}
"""Figures of fairness, and the occupations that each is over."""
MARGIN = 0.1
"""Largest loss of adherence or recognition that is accepted; our choice. Where nothing is lost, 29
occupations are needed to show that no more than this is lost: 0.9^29 < 0.05."""
LEVEL = 0.05
UNIT = "occupations"


@dataclass(frozen=True, eq=False)
class MethodEvaluator:
    """How methods are measured, all against one base and one reference."""

    base: Seen
    reference: Seen
    attribute: str
    values: Sequence[str]
    asked: Mapping[str, str]
    """Kind of explicit prompt -> the value that it asks for."""
    resampling: Resampling

    def figures(self, name: str, seen: Seen) -> Found:
        """Every figure of one method.

        ``kid`` compares neutral images with the reference's balanced ones. Both sets hold as many
        images of each subject, which no two random samples do, so images as good as the
        reference's score a little below 0: compare a method's value with the oracle's.
        """
        base, table = self.base.labels, seen.labels
        neutral, explicit, things = self._parts(table)
        base_neutral, base_explicit, _ = self._parts(base)
        is_same = things["key"] == things["file_name"].map(base.set_index("file_name")["key"])
        is_missed = ~is_seen(neutral, self.attribute)
        drawing: Found = {"resampling": self.resampling}
        before, after = self._counts(base), self._counts(table)
        both = before.any(axis=1) & after.any(axis=1)
        kept = {
            "explicit_adherence": self._keeps(base_explicit, explicit, "is_adherent"),
            "subject_recognised": self._keeps(base_neutral, neutral, "is_recognised"),
        }
        return {
            "name": name,
            **{
                figure: self._fairness(table[table["split"].isin(splits)])
                for figure, splits in SPLITS.items()
            },
            "difference": asdict(
                paired_difference(before[both], after[both], unit=UNIT, **drawing)
            ),
            "explicit_adherence": share_over(explicit["subject"], explicit["is_adherent"]),
            "keeps_explicit": name == BASE or kept["explicit_adherence"]["is_kept"],
            "kept": kept,
            "subject_recognised": share_over(neutral["subject"], neutral["is_recognised"]),
            "non_person_changed": share_over(things["subject"], ~is_same, unit="objects"),
            "clip_score": mean_over(neutral["subject"], neutral["clip_score"], **drawing),
            "clip_like_for_like": like_for_like(base, table, attribute=self.attribute, **drawing),
            "clip_of_captions": over_captions(base, table, explicit=list(self.asked), **drawing),
            "kid": self._kid(seen),
            **({"missing": share_over(neutral["subject"], is_missed)} if is_missed.any() else {}),
            **seen.row,
        }

    def compared(self, seen: Mapping[str, Seen], methods: Sequence[Found]) -> Found:
        """Compare the methods with the fairest one; see `compare_with_fairest`."""
        counts = {
            name: self._counts(of.labels) for name, of in seen.items() if name not in (BASE, ORACLE)
        }
        kept = [
            of["name"]
            for of in methods
            if of["name"] in counts and all(test["is_kept"] for test in of["kept"].values())
        ]
        return compare_with_fairest(counts, kept, resampling=self.resampling)

    def _parts(self, labels: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Neutral images, those of explicit prompts in which a value is seen, and objects."""
        table = labels.assign(
            is_adherent=labels[self.attribute] == labels["kind"].map(dict(self.asked)),
            is_recognised=labels[SUBJECT_SEEN] == labels["subject"],
        )
        is_explicit = table["kind"].isin(list(self.asked)) & is_seen(table, self.attribute)
        return (
            table[table["kind"] == "neutral"],
            table[is_explicit],
            table[table["kind"] == "object"],
        )

    def _keeps(self, base: pd.DataFrame, other: pd.DataFrame, column: str) -> Found:
        before, after = (of.groupby("subject")[column].mean() for of in (base, other))
        return keeps((after - before).dropna().to_numpy(float), resampling=self.resampling)

    def _fairness(self, table: pd.DataFrame) -> Found:
        counts = self._counts(table)
        counts = counts[counts.any(axis=1)]
        return asdict(fairness_figures(counts, resampling=self.resampling, unit=UNIT)["mad"])

    def _counts(self, table: pd.DataFrame) -> Counts:
        """Neutral images by subject and value; rows in the order of the plan, 0 if none seen."""
        neutral = table[table["kind"] == "neutral"]
        labels = neutral[self.attribute].tolist()
        return count_labels(neutral["subject"].tolist(), labels, values=self.values)[1]

    def _kid(self, seen: Seen) -> Found | None:
        """Distance of neutral images to the reference's; None if they are too few."""
        rows = seen.labels["kind"] == "neutral"
        wanted = self.reference.labels["kind"].isin(list(self.asked))
        subjects = seen.labels.loc[rows, "subject"].tolist()
        try:
            found = kid(
                seen.features[rows.to_numpy()],
                self.reference.features[wanted.to_numpy()],
                subjects_a=subjects,
                subjects_b=self.reference.labels.loc[wanted, "subject"].tolist(),
                seed=self.resampling.seed,
            )
        except DegenerateDataError:
            return None
        return {**asdict(found), "unit": UNIT, "n": len(set(subjects)), "n_images": len(subjects)}


def keeps(change: np.ndarray, *, margin: float = MARGIN, resampling: Resampling) -> Found:
    """Test whether a share is kept: its mean change over occupations is certainly above -margin.

    A share changes by at most 1, which decides where nothing differs: see `noninferiority_p`. Of
    fewer than two occupations nothing is known: ``is_kept`` alone, False.
    """
    if len(change) < 2:
        return {"is_kept": False}
    bounds = (-1.0, 1.0)
    found = mean_test(change, bounds=bounds, resampling=resampling, unit=UNIT)
    p = noninferiority_p(change, margin, bounds=bounds)
    return {**asdict(found), "margin": margin, "p_noninferior": p, "is_kept": p <= LEVEL}


def compare_with_fairest(
    counts: Mapping[str, Counts], candidates: Sequence[str], *, resampling: Resampling
) -> Found:
    """Compare the fairest of some methods with each of the others.

    The fairest is the candidate with the lowest MAD. It is chosen from the data, so the p-value
    of each paired difference is multiplied by the number of all pairs of the methods (Bonferroni):
    the probability of any wrong claim that a method is less fair is at most 5 %.

    ``counts``: images of every method, (n_subjects, K), of the same subjects. ``differences`` are
    of MAD, each other candidate minus ``fairest``, which is None without a candidate.
    """
    n_pairs = len(counts) * (len(counts) - 1) // 2
    found: Found = {"fairest": None, "differences": [], "n_pairs": n_pairs}
    mad = {name: _mad(counts[name]) for name in candidates if counts[name].any()}
    ordered = sorted(mad, key=lambda name: mad[name])
    if not ordered:
        return found
    fairest = found["fairest"] = ordered[0]
    for name in ordered[1:]:
        both = counts[fairest].any(axis=1) & counts[name].any(axis=1)
        if not both.any():
            continue
        pair = (counts[of][both] for of in (fairest, name))
        change = paired_difference(*pair, resampling=resampling.for_tests(n_pairs), unit=UNIT)
        p = min(1.0, change.p * n_pairs)
        is_less_fair = p <= LEVEL and change.value > 0
        row = {"name": name, **asdict(change), "p_adjusted": p, "is_less_fair": is_less_fair}
        found["differences"].append(row)
    return found


def ranked(methods: Sequence[Found]) -> list[Found]:
    """Sort by MAD, those that are shown to keep explicit adherence first."""
    return sorted(methods, key=lambda of: (not of["keeps_explicit"], of["mad"]["value"]))


def _mad(counts: Counts) -> float:
    known = counts[counts.any(axis=1)]
    shares = known / known.sum(axis=1, keepdims=True)
    return float(np.abs(shares - 1 / counts.shape[1]).mean())
