"""The table of occupations: the share of a value in their images, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from figures.sources import RunFiles

Share = Mapping[str, float]


def subject_shares(files: RunFiles) -> list[dict[str, Any]]:
    """List occupations by labour share, with the share of the value in both sides' images.

    Returns
    -------
    list of dict
        ``subject``, ``split``, ``labour`` (None where it is unknown), ``base`` and ``moesd``
        (each ``value, low, high, n``) and their ``change`` (``value, low, high``).
    """
    quality, shares = files.json("quality"), files.table("shares")
    chosen = (shares["attribute"] == quality["attribute"]) & (shares["value"] == quality["value"])
    labour = files.table("subjects").drop_duplicates("subject").set_index("subject")["share_women"]
    rows: list[dict[str, Any]] = []
    for subject, own in shares[chosen].groupby("subject", sort=True):
        sides = {
            str(row.side): {"value": row.share, "low": row.low, "high": row.high, "n": row.n}
            for row in own.itertuples()
        }
        if set(sides) != {"base", "moesd"}:
            continue
        share = float(labour.get(subject, float("nan")))
        rows.append(
            {
                "subject": str(subject),
                "split": str(own["split"].iloc[0]),
                "labour": None if isnan(share) else share,
                "change": change(sides["base"], sides["moesd"]),
                **sides,
            }
        )
    return sorted(rows, key=lambda row: (row["labour"] is None, row["labour"] or 0.0))


def change(before: Share, after: Share) -> dict[str, float]:
    """Return the change of a share with Newcombe's interval, -1 to 1; 0 is no change.

    It treats the two samples as independent. Images from equal noise are not, which makes the
    interval conservative where they agree.

    Parameters
    ----------
    before, after : mapping
        Shares, 0 to 1, with their numbers of images: ``value, n``.

    References
    ----------
    Newcombe, *Interval estimation for the difference between independent proportions*,
    Statistics in Medicine 17 (1998), method 10.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    counts = (item for of in (after, before) for item in (round(of["value"] * of["n"]), of["n"]))
    low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    return {"value": after["value"] - before["value"], "low": float(low), "high": float(high)}
