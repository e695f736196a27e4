"""In which pictures no face was seen, and what they could change, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probe.stats.notation import number


def missing(quality: Mapping[str, Any]) -> str:
    """Say how many pictures show nothing and between what MAD lies; empty if faces are not used."""
    if (found := quality.get("missing")) is None:
        return ""
    told = []
    for name, when in (("base", "before"), ("corrected", "after")):
        side, bounds = found[name], found[name]["bounds"]["mad"]
        told.append(
            f"{side['undetected']} images without a face and {side['ambiguous']} with several "
            f"alike {when}, of {side['n_images']}, with which MAD lies between "
            f"{number(bounds['low'])} and {number(bounds['high'])}"
        )
    change = found["difference"]["bounds"]["mad"]
    left_out = found["left_out"]
    gone = f" Left out, as nothing was seen on one side: {', '.join(left_out)}." if left_out else ""
    return (
        f"Seen in faces: {'; '.join(told)}; the difference lies between {number(change['low'])} "
        f"and {number(change['high'])}, whatever those images show.{gone} A detector may miss one "
        "group more often than another."
    )
