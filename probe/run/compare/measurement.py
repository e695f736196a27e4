"""From what was seen in a method's pictures to the figures by which methods are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from probe.arrays import Counts
from probe.audit import failures
from probe.audit.fairness import count_labels, fairness_figures, paired_difference
from probe.audit.missing_label_bounds import is_seen
from probe.errors import DegenerateDataError
from probe.images.quality.kid import kid
from probe.run.compare.fairest import compare_with_fairest, keeps
from probe.run.compare.methods import BASE, ORACLE
from probe.run.compare.pictures import Seen
from probe.run.evaluation.equivalence import like_for_like, over_captions
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.stats.resampling import Resampling

Found = dict[str, Any]

SPLITS = {
    "mad": ("trained", "held_out"),
    "mad_trained": ("trained",),
    "mad_held_out": ("held_out",),
}
"""Figures of fairness, and the occupations that each is over."""
ADHERENCE_MARGIN = 0.01
"""Largest loss of explicit adherence that does not matter; our choice."""


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
    recognition_margin: float = 0.05
    """Largest loss of the share of pictures recognised that does not matter."""

    def figures(self, name: str, seen: Seen) -> Found:
        """Every figure of one method.

        ``kid`` compares neutral pictures with the reference's balanced ones, ``non_person_kid``
        those of objects. Both sets hold as many pictures of each subject, which no two samples at
        random do, so pictures as good as the reference's score a little below 0: read a method's
        value beside the oracle's.
        """
        table = seen.labels
        neutral = table["kind"] == "neutral"
        is_same = self._is_same(table)
        is_missed = ~is_seen(table[neutral], self.attribute)
        missing = failures.share_over(table.loc[neutral, "subject"], is_missed)
        fairness = {figure: self._fairness(table, splits) for figure, splits in SPLITS.items()}
        before, after = self._counts(self.base.labels), self._counts(table)
        both = before.any(axis=1) & after.any(axis=1)
        change = paired_difference(
            before[both],
            after[both],
            resampling=self.resampling,
            unit="occupations",
        )
        asked_for, kept = self._explicit(table), self._kept(table)
        adherent = failures.share_over(asked_for["subject"], self._is_adherent(asked_for))
        thing, explicit = table["kind"] == "object", table["kind"].isin(list(self.asked))
        return {
            "name": name,
            **fairness,
            "difference": asdict(change),
            "explicit_adherence": adherent,
            "keeps_explicit": name == BASE or kept["explicit_adherence"]["is_kept"],
            "kept": kept,
            "explicit_changed": failures.share_over(
                table.loc[explicit, "subject"], ~is_same[explicit]
            ),
            "subject_recognised": failures.share_over(
                table.loc[neutral, "subject"],
                table.loc[neutral, SUBJECT_SEEN] == table.loc[neutral, "subject"],
            ),
            "non_person_changed": failures.share_over(
                table.loc[thing, "subject"], ~is_same[thing], unit="objects"
            ),
            "non_person_kid": self._kid(seen, "object", ("object",), "objects"),
            "clip_score": failures.mean_over(
                table.loc[neutral, "subject"],
                table.loc[neutral, "clip_score"],
                resampling=self.resampling,
            ),
            "clip_like_for_like": like_for_like(
                self.base.labels, table, attribute=self.attribute, resampling=self.resampling
            ),
            "clip_of_captions": over_captions(
                self.base.labels, table, explicit=list(self.asked), resampling=self.resampling
            ),
            "kid": self._kid(seen, "neutral", tuple(self.asked), "occupations"),
            **({"missing": missing} if is_missed.any() else {}),
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

    def _kept(self, table: pd.DataFrame) -> dict[str, Found]:
        """Whether adherence and recognition of every occupation's prompts are kept."""
        base = self.base.labels
        margins = {
            "explicit_adherence": (self._adherence, ADHERENCE_MARGIN),
            "subject_recognised": (_recognition, self.recognition_margin),
        }
        return {
            name: keeps(share(base), share(table), margin=margin, resampling=self.resampling)
            for name, (share, margin) in margins.items()
        }

    def _adherence(self, table: pd.DataFrame) -> pd.Series:
        asked_for = self._explicit(table)
        return self._is_adherent(asked_for).groupby(asked_for["subject"]).mean()

    def _explicit(self, table: pd.DataFrame) -> pd.DataFrame:
        """Pictures of explicit prompts in which a value is seen."""
        return table[table["kind"].isin(list(self.asked)) & is_seen(table, self.attribute)]

    def _is_adherent(self, asked_for: pd.DataFrame) -> pd.Series:
        """Whether each explicit prompt's picture shows what was asked for."""
        return asked_for[self.attribute] == asked_for["kind"].map(dict(self.asked))

    def _is_same(self, table: pd.DataFrame) -> pd.Series:
        """Whether each picture is the base model's, bit for bit."""
        base = self.base.labels.set_index("file_name")["key"]
        return table["key"] == table["file_name"].map(base)

    def _fairness(self, table: pd.DataFrame, splits: Sequence[str]) -> Found:
        counts = self._counts(table[table["split"].isin(splits)])
        counts = counts[counts.any(axis=1)]
        found = fairness_figures(counts, resampling=self.resampling, unit="occupations")
        return asdict(found["mad"])

    def _counts(self, table: pd.DataFrame) -> Counts:
        """Neutral pictures by subject and value; rows in the order of the plan, 0 if none seen."""
        neutral = table[table["kind"] == "neutral"]
        labels = neutral[self.attribute].tolist()
        return count_labels(neutral["subject"].tolist(), labels, values=self.values)[1]

    def _kid(self, seen: Seen, kind: str, kinds: Sequence[str], unit: str) -> Found | None:
        """Distance to the reference's pictures of some kinds; None if they are too few."""
        rows = seen.labels["kind"] == kind
        wanted = self.reference.labels["kind"].isin(kinds)
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
        return {**asdict(found), "unit": unit, "n": len(set(subjects)), "n_images": len(subjects)}


def _recognition(table: pd.DataFrame) -> pd.Series:
    neutral = table[table["kind"] == "neutral"]
    return (neutral[SUBJECT_SEEN] == neutral["subject"]).groupby(neutral["subject"]).mean()


def ranked(methods: Sequence[Found]) -> list[Found]:
    """Sort by MAD, those that are shown to keep explicit adherence first."""
    return sorted(methods, key=lambda of: (not of["keeps_explicit"], of["mad"]["value"]))
