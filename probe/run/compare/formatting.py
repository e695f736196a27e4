"""The ranked table of a comparison, as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probe.run.compare.measurement import ranked

Found = dict[str, Any]

ORACLE = "explicit-mixing"
"""It is told which prompts are neutral, and says the gender in them: the best there can be."""

_COLUMNS = (
    ("mad", "MAD", 3),
    ("mad_trained", "trained on", 3),
    ("mad_held_out", "held out", 3),
    ("explicit_adherence", "explicit followed", 3),
    ("subject_recognised", "recognised", 3),
    ("non_person_changed", "things changed", 2),
    ("clip_score", "CLIP score", 1),
    ("clip_like_for_like", "CLIP, like for like", 2),
    ("kid", "KID", 3),
)


@dataclass(frozen=True)
class MethodsResult:
    """What ``compare methods`` found."""

    figures: Found

    def summary(self) -> str:
        """One row a method, the fairest first; below the line those that lose explicit prompts."""
        methods = ranked(self.figures["methods"])
        titles = (title for _, title, _ in _COLUMNS)
        rows = [["method", *titles, "weights", "train s", "s/image"]]
        for of in methods:
            rows.append(
                [
                    of["name"] + ("" if of["keeps_explicit"] else " *"),
                    *(bracketed(of[key], digits) for key, _, digits in _COLUMNS),
                    f"{of['n_trainable']:,}",
                    f"{of['train_seconds']:.0f}" if of["train_seconds"] is not None else "",
                    f"{of['seconds_per_image']['value']:.2f}",
                ]
            )
        lines = aligned(rows)
        floor, n = self.figures["noise_floor"]["mad"], self.figures["n_images"]["per_subject"]
        lines.append(f"a fair model scores {floor:.3f} with {n} pictures a subject")
        if any(not of["keeps_explicit"] for of in methods):
            lines.append(
                "* honours more than 1 point less of the explicit prompts than the base model"
            )
        return "\n".join([*lines, *self.winners()])

    def to_json(self) -> Found:
        """Every figure."""
        return self.figures

    def winners(self) -> list[str]:
        """Say which methods beat ours, if they keep explicit prompts and are no oracle."""
        methods = ranked(self.figures["methods"])
        ours = [of for of in methods if of["name"].startswith("moesd") and of["keeps_explicit"]]
        if not ours:
            return []
        best = min(ours, key=lambda of: of["mad"]["value"])
        fairer = [
            of["name"]
            for of in methods
            if of["keeps_explicit"]
            and of["name"] != ORACLE
            and not of["name"].startswith("moesd")
            and of["mad"]["value"] < best["mad"]["value"]
        ]
        if not fairer:
            told = f"no baseline that keeps explicit prompts is fairer than {best['name']}"
        else:
            told = f"fairer than {best['name']}, and explicit prompts kept: {', '.join(fairer)}"
        return [f"{told} (the oracle, {ORACLE}, aside)"]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay a table out in columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def bracketed(found: Mapping[str, float] | None, digits: int) -> str:
    """Write ``value [low, high]``; nothing if there is nothing."""
    if found is None:
        return ""
    value, low, high = (f"{found[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
