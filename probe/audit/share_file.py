"""Shares of every subject as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probe.io.files import atomic, harmless


def write_shares(path: Path, found: Mapping[str, Any]) -> None:
    """Write each subject's shares with their intervals as CSV, one row a subject and value.

    A text that a spreadsheet would run as a formula is preceded by an apostrophe.
    """
    names = ("subject", "attribute", "value", "count", "n", "share", "low", "high")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in found["subjects"]:
            for value, share in row["shares"].items():
                texts = (harmless(text) for text in (row["subject"], found["attribute"], value))
                count = round(share["value"] * row["n"])
                limits = (f"{share[key]:.6g}" for key in ("value", "low", "high"))
                writer.writerow([*texts, count, row["n"], *limits])
