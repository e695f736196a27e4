"""The axes of a concept, their stability, and how the concept's targets lie on them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from probe.arrays import Double
from probe.errors import DataError, DegenerateDataError
from probe.run.concept.words import ConceptWords
from probe.run.studies.association import tests_table
from probe.stats.resampling import Resampling, chunks, resampled_counts
from probe.text.concepts import Concept


@dataclass(frozen=True, eq=False)
class ConceptAxis:
    """A unit axis towards one group, and the axes that its resampled words give."""

    toward: str
    """Group on the positive side."""
    kind: str
    """``"pairs"``: mean difference of the pairs. ``"groups"``: from the middle of all groups, each
    of the same weight, to the mean of this one."""
    vector: Double
    """Shape (n_features,)."""
    center: Double
    """Shape (n_features,): the origin of the axis."""
    drawn_vectors: Double
    """Shape (n_draws, n_features); no rows if there is only one word to draw."""
    drawn_offsets: Double
    """Shape (n_draws,): where each drawn axis has its own 0."""
    n_units: int
    """Pairs, or words of the group, that were drawn."""

    def angles(self) -> tuple[float, float]:
        """Degrees between drawn axes and the full one: median, and what 95 % are below."""
        if not len(self.drawn_vectors):
            return float("nan"), float("nan")
        cosines = np.clip(self.drawn_vectors @ self.vector, -1.0, 1.0)
        median, high = np.quantile(np.degrees(np.arccos(cosines)), (0.5, 0.95))
        return float(median), float(high)

    def place(self, z: Double) -> Double:
        """Places of rows on the axis, each with the limits of its 95 % interval: (n, 3)."""
        limits, start = np.full((2, len(z)), np.nan), 0
        n_draws = len(self.drawn_vectors)
        for size in chunks(len(z), n_draws) if n_draws else ():
            rows = slice(start, start + size)
            drawn = z[rows] @ self.drawn_vectors.T - self.drawn_offsets  # (size, n_draws)
            limits[:, rows] = np.quantile(drawn, (0.025, 0.975), axis=1)
            start += size
        return np.stack([(z - self.center) @ self.vector, *limits], axis=1)


def concept_axes(words: ConceptWords, *, resampling: Resampling) -> list[ConceptAxis]:
    """Find the axes of a concept.

    Two groups have one axis, towards the first: the mean difference of the pairs where at least
    two are there, else the line from one group's mean to the other's. Of more groups, each has its
    axis from the middle of all. What a user could have chosen otherwise is resampled: the pairs, or
    the words of each group, each with all its prompts.
    """
    is_paired = len(words.groups) == 2 and len(words.pairs) >= 2
    members = zip(*words.pairs, strict=True) if is_paired else words.groups.values()
    groups = {name: words.rows(of) for name, of in zip(words.groups, members, strict=True)}
    if len(groups) == 2 and (short := [name for name, rows in groups.items() if len(rows) < 2]):
        raise DataError(
            f"there are {len(words.pairs)} pairs, and {len(groups[short[0]])} word of group "
            f"{short[0]!r}; needed 2 pairs, or 2 words of each group, to see how firm the axis is"
        )
    rng, drawn = resampling.rng(), []
    weights = np.empty(0)
    for rows in groups.values():
        if not (is_paired and len(weights)):  # both words of a pair are drawn together
            weights = resampled_counts(len(rows), resampling.n, rng) / len(rows)
        drawn.append(weights @ rows)
    means = np.stack([rows.mean(axis=0) for rows in groups.values()])
    center, centers = means.mean(axis=0), np.mean(drawn, axis=0)
    axes = []
    for (group, rows), mean, drawn_means in zip(groups.items(), means, drawn, strict=True):
        vectors = _unit(drawn_means - centers)[: resampling.n if len(rows) > 1 else 0]
        axes.append(
            ConceptAxis(
                toward=group,
                kind="pairs" if is_paired else "groups",
                vector=_unit((mean - center)[None], needed=group)[0],
                center=center,
                drawn_vectors=vectors,
                drawn_offsets=(centers[: len(vectors)] * vectors).sum(axis=1),
                n_units=len(rows),
            )
        )
    return axes[:1] if len(groups) == 2 else axes


def pair_agreement(words: ConceptWords) -> float | None:
    """Mean cosine between the differences of two pairs; None if there are fewer than two.

    1 if all pairs differ in the same direction, 0 if they have nothing in common.
    """
    if (n := len(words.pairs)) < 2:
        return None
    first, second = (words.rows(of) for of in zip(*words.pairs, strict=True))
    differences = first - second
    lengths = np.linalg.norm(differences, axis=1, keepdims=True)
    if not lengths.all():
        return None  # a pair whose words coincide has no direction
    total = np.linalg.norm((differences / lengths).sum(axis=0)) ** 2
    return float((total - n) / (n * (n - 1)))


def correlations(concept: Concept, places: pd.DataFrame) -> list[dict[str, Any]]:
    """Correlate the targets' place towards each group with that group's figures.

    A positive r means that the vectors repeat the figures. Groups whose figures are known for
    fewer than three targets, or are all the same, are left out.
    """
    from probe.stats.correlation import share_correlation

    targets = places[places["kind"] == "target"]
    found = []
    for group in concept.groups:
        # of two groups there is one axis: towards the second is away from the first
        is_own = group in set(places["toward"])
        rows = targets[targets["toward"] == (group if is_own else places["toward"].iloc[0])]
        rows = rows[rows[f"share_{group}"].notna()]
        if len(rows) >= 3 and rows[f"share_{group}"].nunique() > 1:
            place = rows["place"].to_numpy() * (1 if is_own else -1)
            r = share_correlation(place, rows[f"share_{group}"].to_numpy())
            found.append({"group": group, **asdict(r)})
    return found


def association_table(
    concept: Concept, words: ConceptWords, axes: list[ConceptAxis], **drawing: Any
) -> pd.DataFrame:
    """Test how the targets are associated with each axis's group against all others.

    WEAT sets the targets whose figures are mostly of the group against the rest; RIPA is of pairs.
    Measures with too few words are left out.
    """
    return tests_table(
        ({"measure": name, "toward": axis.toward}, test)
        for axis in axes
        for name, test in _tests(concept, words, axis, drawing)
    )


def _tests(
    concept: Concept, words: ConceptWords, axis: ConceptAxis, drawing: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    from probe.latent.association import ect, ripa, rnd, weat

    if not words.targets:
        return
    targets = words.rows(words.targets)
    group = words.rows(words.groups[axis.toward])
    rest = words.rows([w for name, ws in words.groups.items() if name != axis.toward for w in ws])
    mostly, others = _sides(concept, words, axis.toward)
    if min(len(mostly), len(others)) >= 2:
        yield "WEAT", weat(words.rows(mostly), words.rows(others), group, rest, **drawing)
    yield "RND", rnd(group, rest, targets, **drawing)
    if len(targets) >= 3:
        yield "ECT", ect(group, rest, targets, **drawing)
    if axis.kind == "pairs":
        first, second = (words.rows(of) for of in zip(*words.pairs, strict=True))
        yield "RIPA", ripa(first, second, targets, **drawing)


def _sides(concept: Concept, words: ConceptWords, group: str) -> tuple[list[str], list[str]]:
    """Targets that are mostly of a group by their figures, and those that are mostly not."""
    mostly: list[str] = []
    others: list[str] = []
    for name, shares in concept.targets.items():
        share = shares.get(group)
        if share is None and len(concept.groups) == 2 and shares:
            share = 1 - next(iter(shares.values()))
        if name in words.targets and share is not None and share != 0.5:
            (mostly if share > 0.5 else others).append(name)
    return mostly, others


def _unit(rows: Double, *, needed: str = "") -> Double:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if lengths.min() <= 1e-12:
        middle = f"group {needed!r} is in the middle of the others"
        what = middle if needed else "the words coincide in a resample"
        raise DegenerateDataError(f"{what}, so there is no axis; needed words that differ more")
    unit: Double = rows / lengths
    return unit
