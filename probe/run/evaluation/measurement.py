"""From one row an image to every figure of the evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from probe.arrays import Counts
from probe.audit import failures
from probe.audit.fairness import fairness_figures, paired_difference
from probe.audit.measures import count_labels
from probe.audit.missing_label_bounds import (
    bound_difference,
    bound_figures,
    count_missing,
    is_seen,
)
from probe.errors import DegenerateDataError
from probe.run.evaluation.evaluators import SUBJECT_SEEN
from probe.stats.proportion import binomial_interval
from probe.stats.resampling import Resampling
from probe.text.lexicon import SPLIT_NAMES
from probe.text.lexicon import SPLITS as SPLITS_OF_LEXICON

SIDES = {"base": "base", "moesd": "corrected"}
"""Side of the images: its folder -> its name in results."""
SPLITS = ("all", *SPLITS_OF_LEXICON)

Found = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Labelled images of both sides, and what is to be measured on them."""

    labels: pd.DataFrame
    """As `probe.run.evaluation.evaluators.label_images` returns them."""
    attributes: Mapping[str, Sequence[str]]
    """Attributes that the classifier sees, with their values."""
    attribute: str
    """The one that fairness is about."""
    asked: Mapping[str, str]
    """Kind of explicit prompt -> the value that it asks for."""
    resampling: Resampling
    also_corrected: Sequence[str] = ()
    """Other attributes that are corrected too."""
    in_faces: bool = False
    """Whether faces were looked at, which some images may not have."""

    def quality(self) -> Found:
        """Every figure, as ``evaluate --json`` prints it."""
        fairness = self.fairness()
        sides = {name: self._side(side, fairness) for side, name in SIDES.items()}
        differences = {
            split: paired_difference(
                *(self.counts(side, split) for side in SIDES),
                resampling=self.resampling,
                unit="occupations",
            )
            for split in self.splits
        }
        n_images = {name: len(self._neutral(side)) for side, name in SIDES.items()}
        n_subjects = self._neutral("base")["subject"].nunique()
        return {
            **sides,
            "difference": {
                "mad": asdict(differences["all"]),
                **{split: {"mad": asdict(differences[split])} for split in self.splits[1:]},
            },
            "failures": self._failures(differences),
            "n_images": {**n_images, "per_subject": n_images["base"] // n_subjects},
            "attribute": self.attribute,
            "value": self.value,
            "asked": dict(self.asked),
            "also_corrected": self._also_corrected(),
            **({"missing": self._missing()} if self.in_faces else {}),
        }

    @property
    def value(self) -> str:
        """The value whose shares are shown: the first."""
        return next(iter(self.asked.values()))

    def _also_corrected(self) -> dict[str, Found]:
        """MAD of each further attribute, before and after, and the paired difference."""
        found = {}
        for name in self.also_corrected:
            of = replace(self, attribute=name, also_corrected=())
            rows = of.fairness().query("split == 'all' and measure == 'mad'").set_index("side")
            columns = ["value", "low", "high", "floor", "unit", "n"]
            sides = {SIDES[side]: dict(rows.loc[side, columns]) for side in SIDES}
            counts = (of.counts(side, "all") for side in SIDES)
            change = paired_difference(*counts, resampling=self.resampling, unit="occupations")
            found[name] = {**sides, "difference": asdict(change)}
        return found

    def fairness(self) -> pd.DataFrame:
        """Every fairness figure, one row a side, split and measure."""
        rows = []
        for side in SIDES:
            for split in self.splits:
                counts = self.counts(side, split)
                found = fairness_figures(counts, resampling=self.resampling, unit="occupations")
                sizes = {"n_subjects": len(counts), "n_images": int(counts.sum())}
                rows += [
                    {"side": side, "split": split, "measure": name, **asdict(figure), **sizes}
                    for name, figure in found.items()
                ]
        return pd.DataFrame(rows)

    def shares(self) -> pd.DataFrame:
        """Share of every value of every attribute in the neutral images of each subject."""
        rows = []
        for side in SIDES:
            table = self._neutral(side)
            splits = table.drop_duplicates("subject").set_index("subject")["split"]
            for attribute, values in self.attributes.items():
                if attribute not in table:
                    continue
                for subject, of_subject in zip(*_counted(table, attribute, values), strict=True):
                    if not (n := int(of_subject.sum())):
                        continue  # nothing was seen in any of its images
                    for value, count in zip(values, of_subject.tolist(), strict=True):
                        found = binomial_interval(count, n)
                        row = {"side": side, "subject": subject, "split": splits[subject]}
                        row |= {"attribute": attribute, "value": value, "count": count, "n": n}
                        share = {"share": found.value, "low": found.low, "high": found.high}
                        rows.append(row | share)
        return pd.DataFrame(rows)

    @property
    def splits(self) -> list[str]:
        """Those of `SPLITS` that have images."""
        shown = set(self._neutral("base")["split"])
        return [split for split in SPLITS if split == "all" or split in shown]

    def subjects(self, split: str) -> list[str]:
        """Subjects whose neutral images show something on both sides; rows of `counts`."""
        table, other = (self._neutral(side) for side in SIDES)
        known = (set(of.loc[is_seen(of, self.attribute), "subject"]) for of in (table, other))
        both = set.intersection(*known)
        table = table if split == "all" else table[table["split"] == split]
        if len(table) and both.isdisjoint(table["subject"]):
            which = SPLIT_NAMES.get(split, "all")
            raise DegenerateDataError(
                f"{self.attribute} was seen in no occupation's images of both models ({which}); "
                "look at whole images with --faces '', or name another detector"
            )
        return [name for name in dict.fromkeys(table["subject"]) if name in both]

    def counts(self, side: str, split: str) -> Counts:
        """Images by subject and value, (n_subjects, n_values); the same rows for both sides."""
        subjects, counts = _counted(
            self._neutral(side), self.attribute, self.attributes[self.attribute]
        )
        return counts[[subjects.index(subject) for subject in self.subjects(split)]]

    def _side(self, side: str, fairness: pd.DataFrame) -> Found:
        rows = fairness[fairness["side"] == side].set_index(["split", "measure"])

        def figures(split: str) -> Found:
            columns = ["value", "low", "high", "floor", "unit", "n"]
            return dict(rows.loc[split, columns].to_dict("index"))

        explicit, neutral = self._explicit(side), self._neutral(side)
        seen = explicit[is_seen(explicit, self.attribute)]
        is_adherent = seen[self.attribute] == seen["kind"].map(dict(self.asked))
        return {
            **figures("all"),
            **{split: figures(split) for split in self.splits[1:]},
            "explicit_adherence": failures.share_over(seen["subject"], is_adherent),
            "subject_recognised": failures.share_over(
                neutral["subject"], neutral[SUBJECT_SEEN] == neutral["subject"]
            ),
            "clip_score": failures.mean_over(
                neutral["subject"], neutral["clip_score"], resampling=self.resampling
            ),
        }

    def _failures(self, differences: Mapping[str, Any]) -> Found:
        values = list(self.attributes[self.attribute])
        column = values.index(self.value)
        before, after = self.counts("base", "all"), self.counts("moesd", "all")
        n, fair = (before.sum(axis=1), after.sum(axis=1)), 1 / len(values)
        keys = self.labels.pivot(index="file_name", columns="side", values="key")
        kinds = self.labels.drop_duplicates("file_name").set_index("file_name").loc[keys.index]
        is_same = keys["base"] == keys["moesd"]
        is_neutral = (kinds["kind"] == "neutral").to_numpy()
        is_explicit, is_object = kinds["kind"].isin(list(self.asked)), kinds["kind"] == "object"
        is_untouched = is_same[is_neutral].groupby(kinds["subject"][is_neutral]).all()
        subjects = self.subjects("all")
        seen = self._neutral("base"), self._neutral("moesd")
        shown = [of[is_seen(of, self.attribute)].set_index("file_name") for of in seen]
        is_value = [of[self.attribute] == values[column] for of in shown]
        pairs = pd.concat(is_value, axis=1, keys=list(SIDES.values()), join="inner")
        pairs = pairs.astype(bool).assign(subject=shown[0]["subject"])
        return {
            "gate_missed": failures.gate_missed(
                before[:, column], n[0], is_untouched.loc[subjects].to_numpy(), fair
            ),
            "overcorrected": failures.overcorrected(before[:, column], after[:, column], *n, fair),
            "moved_away": failures.moved_away(pairs, fair),
            "explicit_changed": failures.share_over(
                kinds.loc[is_explicit, "subject"], ~is_same[is_explicit]
            ),
            "non_person_changed": failures.share_over(
                kinds.loc[is_object, "subject"], ~is_same[is_object], unit="objects"
            ),
            "overfit": failures.overfit(differences["train"], differences[self.splits[-1]]),
        }

    def _missing(self) -> Found:
        """Count the missing labels of each side, and bound what they could change."""
        found: Found = {}
        for side, name in SIDES.items():
            neutral = self._neutral(side)
            n_missing = (~is_seen(neutral, self.attribute)).astype(int)
            by_subject = pd.Series(n_missing).groupby(neutral["subject"].to_numpy()).sum()
            whole, *parts = (
                bound_figures(self.counts(side, split), by_subject[self.subjects(split)].to_numpy())
                for split in self.splits
            )
            bounds = whole | dict(zip(self.splits[1:], parts, strict=True))
            found[name] = {**count_missing(neutral[self.attribute]), "bounds": bounds}
        limits = (found[name]["bounds"]["mad"] for name in SIDES.values())
        known = set(self.subjects("all"))
        everybody = dict.fromkeys(self._neutral("base")["subject"])
        return {
            **found,
            "difference": {"bounds": {"mad": bound_difference(*limits)}},
            "left_out": [name for name in everybody if name not in known],
        }

    def _explicit(self, side: str) -> pd.DataFrame:
        is_asked = self.labels["kind"].isin(list(self.asked))
        return self.labels[(self.labels["side"] == side) & is_asked]

    def _neutral(self, side: str) -> pd.DataFrame:
        return self.labels[(self.labels["side"] == side) & (self.labels["kind"] == "neutral")]


def _counted(
    table: pd.DataFrame, attribute: str, values: Sequence[str]
) -> tuple[list[str], Counts]:
    """Images by subject and value of an attribute."""
    return count_labels(table["subject"].tolist(), table[attribute].tolist(), values=values)
