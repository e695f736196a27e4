"""Simulated coverage of every interval.

``python benchmarks/interval_coverage.py [--json] [--only NAME]``

An interval of 95 % should hold the truth in at least 94 of 100 cases. A row a setting; with
``--worst`` only the worst of each interval and number, as in ``docs/intervals.md``. Settings are
independent, and so are the families that ``--only`` names: run them side by side.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

from covering import figures, gate, means, pictures, shares, words

FAMILIES: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "shares": shares.rows,
    "figures": figures.rows,
    "calibrated": figures.calibrated,
    "means": means.rows,
    "pictures": pictures.rows,
    "gate": gate.rows,
    "words": words.rows,
    "alarms": words.alarms,
}


def main() -> None:
    """Print a row for each interval and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-trials", type=int, default=1000, help="simulated audits a setting")
    parser.add_argument("--only", choices=FAMILIES, action="append", help="these families")
    parser.add_argument("--worst", action="store_true", help="the worst of each interval and n")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = []
    for name in arguments.only or FAMILIES:
        for row in FAMILIES[name](arguments.n_trials):
            found.append(row)
            if not (arguments.json or arguments.worst):
                _tell(row)
    found = worst_of(found) if arguments.worst else found
    if arguments.json:
        print(json.dumps(found, indent=1))
    elif arguments.worst:
        for row in found:
            _tell(row)


def worst_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the row of least coverage of each interval and number."""
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        key = row["interval"], row["n"]
        if key not in kept or row["coverage"] < kept[key]["coverage"]:
            kept[key] = row
    return list(kept.values())


def _tell(row: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
