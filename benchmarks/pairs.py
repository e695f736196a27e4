"""Who gets which role: the reading of pairs that tinytown draws, against the truth.

Portraits side by side, in random order, each with its occupation's planted share of women: how
often roles told by position, by the classifier and by the CLIP give the outcome that was drawn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from figures.groups import write_groups_figure
from probe.audit.labellers import Labeller
from probe.audit.pairs import OUTCOMES, label_pairs, measure_pairs
from probe.audit.tables import LabelTable
from probe.text.lexicon import Lexicon
from probe.tinytown.renderer import render_pair
from probe.tinytown.world import Town

OF_GENDERS = {
    ("man", "woman"): "stereotype",
    ("woman", "man"): "reverse",
    ("man", "man"): "two men",
    ("woman", "woman"): "two women",
}
"""Outcome of the genders of both roles."""


def draw(folder: Path, roles: list[tuple[str, str]], n: int, seed: int) -> dict[str, str]:
    """Draw n images of each pair; return what each file shows."""
    town, lines, truth = Town(Lexicon.load(), seed=seed), [], {}
    for first, second in roles:
        for number in range(n):
            left, right = town.pair((first, second))
            name = f"{first}-{second}-{number}.png"
            render_pair(left, right).save(folder / name)
            genders = {scene.subject: scene.gender for scene in (left, right)}
            truth[name] = OF_GENDERS[genders[first], genders[second]]
            lines.append({"file_name": name, "subject": f"{first} and {second}"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return truth


def compare(table: LabelTable, truth: dict[str, str]) -> dict[str, Any]:
    """Measure the pairs, and how many outcomes are those that were drawn."""
    codes = table.codes["roles"]
    names = [table.values["roles"][code] if code >= 0 else "none" for code in codes]
    true = [truth[name] for name in table.files or ()]
    both = [(a, b) for a, b in zip(true, names, strict=True) if {a, b} <= {"stereotype", "reverse"}]
    return measure_pairs(table.count("roles")) | {
        "as drawn": sum(a == b for a, b in zip(true, names, strict=True)) / len(true),
        "as drawn, a man and a woman seen and drawn": {
            kind: [sum(a == b for a, b in both if a == kind), sum(a == kind for a, _ in both)]
            for kind in ("stereotype", "reverse")
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50, help="images of each pair")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument(
        "--figure", type=Path, help="figure to draw, of the roles by the classifier"
    )
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    jobs = sorted(Lexicon.load().occupations, key=lambda job: job.share_women)
    roles = [(a.name, b.name) for a, b in zip(jobs, jobs[::-1], strict=True)][: given.pairs]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        truth = draw(Path(folder), roles, given.n, given.seed)
        labeller = Labeller("tinytown", None, "gender", None, None, None, "cpu")
        counts = {kind: list(truth.values()).count(kind) for kind in OUTCOMES}
        found["drawn"] = counts
        found["true net"] = (counts["stereotype"] - counts["reverse"]) / len(truth)
        for by in ("position", "classifier", "tinytown"):
            found[by] = compare(label_pairs(Path(folder), labeller, roles=by), truth)
    if given.figure:
        write_groups_figure(given.figure, found["classifier"])
    text = json.dumps(found, indent=1, default=float)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
