"""Decomposition of a change of score into quality and composition of the images."""

from dataclasses import dataclass

import pandas as pd

from probe.arrays import Double


@dataclass(frozen=True, eq=False)
class ScoreChange:
    """Parts of the change of a mean score; one row a subject that shows a value on both sides."""

    subjects: list[str]
    like_for_like: Double
    """Change among images that show the same value, (n_subjects,)."""
    composition: Double
    """Change because other values are shown than before, (n_subjects,)."""
    seen: Double
    """Weight of the values that both sides show, 0 to 1, (n_subjects,)."""


def decompose_change(before: pd.DataFrame, after: pd.DataFrame, *, group: str) -> ScoreChange:
    r"""Decompose the change of each subject's mean score into two parts that sum to it.

    With :math:`p_a` the share of value :math:`a` before and :math:`m_a` its mean score,

    .. math:: \sum_a p'_a m'_a - p_a m_a = \sum_a \tfrac{p_a + p'_a}{2} (m'_a - m_a)
              + \sum_a \tfrac{m_a + m'_a}{2} (p'_a - p_a).

    A scorer that itself expects a gender of an occupation rates images of the other gender lower,
    however good they are; the second sum is that effect. Where one side shows no image of a value,
    its change is taken to be that of the values which both show.

    The tables have one row an image, with columns ``subject``, ``score`` and the perceived
    attribute ``group``, whose missing values are not counted.

    References
    ----------
    Kitagawa, *Components of a Difference Between Two Rates*, Journal of the American Statistical
    Association 50 (1955).
    """
    cells = pd.concat(
        {
            side: table.groupby(["subject", group], observed=True)["score"].agg(["mean", "size"])
            for side, table in (("before", before), ("after", after))
        },
        axis=1,
    )
    sizes = cells.xs("size", axis=1, level=1).fillna(0)
    shares = sizes / sizes.groupby("subject").transform("sum")
    means = cells.xs("mean", axis=1, level=1)
    sums = (shares * means.fillna(0)).groupby("subject").sum()
    total = sums["after"] - sums["before"]
    weights = shares.mean(axis=1).where(means.notna().all(axis=1), 0.0)
    seen = weights.groupby("subject").sum()
    moved = (weights * (means["after"] - means["before"]).fillna(0)).groupby("subject").sum()
    is_shared = seen > 0
    like = (moved[is_shared] / seen[is_shared]).to_numpy()
    return ScoreChange(
        subjects=[str(subject) for subject in seen.index[is_shared]],
        like_for_like=like,
        composition=total[is_shared].to_numpy() - like,
        seen=seen[is_shared].to_numpy(),
    )
