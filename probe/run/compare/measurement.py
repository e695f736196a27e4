"""The figures by which methods are compared, and the fairest of the methods that are usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from probe.run.evaluation.measurement import Measurement
from probe.run.evaluation.other_attributes import other_attributes
from probe.run.evaluation.side_effects import like_for_like, over_captions
from probe.run.files import SIDES
from probe.stats.equivalence import noninferiority_p
from probe.stats.mean import mean_test
from probe.stats.multiplicity import holm
from probe.stats.resampling import Resampling
from probe.text.lexicon import SPLITS as SPLITS_OF_LEXICON

Found = dict[str, Any]

SPLITS = {
    "mad": SPLITS_OF_LEXICON,
    "mad_train": ("train",),
    "mad_validation": ("validation",),
    "mad_test": ("test",),
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
    attributes: Mapping[str, Sequence[str]]
    """Attributes that the classifier sees, with their values."""
    attribute: str
    """The one that fairness is about."""
    asked: Mapping[str, str]
    """Kind of explicit prompt -> the value that it asks for."""
    resampling: Resampling
    also_corrected: Sequence[str] = ()
    """Other attributes that are corrected too."""

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
                name + figure.removeprefix("mad"): of._fairness(table[table["split"].isin(splits)])
                for name, of in self._of_each.items()
                for figure, splits in SPLITS.items()
                if neutral["split"].isin(splits).any()
            },
            "difference": asdict(
                paired_difference(before[both], after[both], unit=UNIT, **drawing)
            ),
            "explicit_adherence": share_over(explicit["subject"], explicit["is_adherent"]),
            "keeps_explicit": name == BASE or kept["explicit_adherence"]["is_kept"],
            "kept": kept,
            "subject_recognised": share_over(neutral["subject"], neutral["is_recognised"]),
            "other_attributes": self._other_attributes(table),
            "non_person_changed": share_over(things["subject"], ~is_same, unit="objects"),
            "clip_score": mean_over(neutral["subject"], neutral["clip_score"], **drawing),
            "clip_like_for_like": like_for_like(base, table, attribute=self.attribute, **drawing),
            "clip_of_captions": over_captions(base, table, explicit=list(self.asked), **drawing),
            "kid": self._kid(seen),
            **({"missing": share_over(neutral["subject"], is_missed)} if is_missed.any() else {}),
            **seen.row,
        }

    def compared(self, seen: Mapping[str, Seen], methods: Sequence[Found]) -> Found:
        """Compare methods with the best baseline, on test occupations; base and oracle aside.

        The candidates are not ours, and are shown to keep explicit prompts and recognition.
        The best is chosen on validation occupations. Where those are the last that are shown,
        they are tested on, and the choice is made on training occupations.
        """
        from probe.baselines import BASELINES

        candidates = [
            of["name"]
            for of in methods
            if of["name"] in BASELINES
            and of["name"] != ORACLE
            and all(test["is_kept"] for test in of["kept"].values())
        ]
        is_tested = (self.base.labels["split"] == "test").any()
        tested_on, of_choice = ("test", "validation") if is_tested else ("validation", "train")
        tested, chosen_on = (
            {
                name: self._counts(of.labels[of.labels["split"] == split])
                for name, of in seen.items()
                if name not in (BASE, ORACLE)
            }
            for split in (tested_on, of_choice)
        )
        found = compare_with_best_baseline(
            tested, chosen_on, candidates, resampling=self.resampling
        )
        return {**found, "tested_on": tested_on, "chosen_on": of_choice}

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

    @property
    def _of_each(self) -> dict[str, MethodEvaluator]:
        """By ``"mad"``, and ``"mad_NAME"`` of each other attribute that is corrected too."""
        others = {f"mad_{name}": replace(self, attribute=name) for name in self.also_corrected}
        return {"mad": self, **others}

    def _fairness(self, table: pd.DataFrame) -> Found:
        counts = self._counts(table)
        counts = counts[counts.any(axis=1)]
        return asdict(fairness_figures(counts, resampling=self.resampling, unit=UNIT)["mad"])

    def _counts(self, table: pd.DataFrame) -> Counts:
        """Neutral images by subject and value; rows in the order of the plan, 0 if none seen."""
        neutral = table[table["kind"] == "neutral"]
        labels = neutral[self.attribute].tolist()
        return count_labels(
            neutral["subject"].tolist(), labels, values=self.attributes[self.attribute]
        )[1]

    def _other_attributes(self, table: pd.DataFrame) -> Found | None:
        """The largest change of the share of a value of another attribute, base to method."""
        sides = zip((self.base.labels, table), SIDES, strict=True)
        labels = pd.concat([of.assign(side=side) for of, side in sides], ignore_index=True)
        of = self.attributes, self.attribute, self.asked, self.resampling
        measured = Measurement(labels, *of, also_corrected=self.also_corrected)
        if (found := other_attributes(measured)) is None:
            return None
        return {key: found[key] for key in ("value", "low", "high", "unit", "n")}

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


def compare_with_best_baseline(
    counts: Mapping[str, Counts],
    chosen_on: Mapping[str, Counts],
    candidates: Sequence[str],
    *,
    resampling: Resampling,
) -> Found:
    """Compare the best baseline with every other method.

    The best baseline is the candidate with the lowest MAD on ``chosen_on``, images of other
    subjects than those of ``counts``, so that the choice does not bias the tests.

    ``counts``: images of every method, (n_subjects, K), of the same subjects. ``differences`` are
    of MAD, each other method minus ``best``, with ``p_holm`` adjusted over all of them; ``best`` is
    None without a candidate.
    """
    mad = {name: _mad(chosen_on[name]) for name in candidates if chosen_on[name].any()}
    best = min(mad, key=lambda name: mad[name]) if mad else None
    pairs = {}
    if best is not None:
        for name in counts:
            both = counts[best].any(axis=1) & counts[name].any(axis=1)
            if name != best and both.any():
                pairs[name] = (counts[best][both], counts[name][both])
    enough = resampling.for_tests(len(pairs)) if pairs else resampling
    changes = {
        name: asdict(paired_difference(*pair, resampling=enough, unit=UNIT))
        for name, pair in pairs.items()
    }
    adjusted = holm(np.array([of["p"] for of in changes.values()])) if changes else ()
    return {
        "best": best,
        "differences": [
            {"name": name, **change, "p_holm": float(p)}
            for (name, change), p in zip(changes.items(), adjusted, strict=True)
        ],
    }


def ranked(methods: Sequence[Found]) -> list[Found]:
    """Sort by group, those without gendered words first; then those that keep explicit prompts;
    by MAD on test occupations, or on all that are shown if there are none.
    """

    def key(of: Found) -> tuple[bool, bool, float]:
        mad = of.get("mad_test") or of["mad"]
        return of["words"] != "none", not of["keeps_explicit"], mad["value"]

    return sorted(methods, key=key)


def _mad(counts: Counts) -> float:
    known = counts[counts.any(axis=1)]
    shares = known / known.sum(axis=1, keepdims=True)
    return float(np.abs(shares - 1 / counts.shape[1]).mean())
