"""What the gate makes of prompts that were built to be hard, and of ever more specific ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from probe.artifacts import hash_file, hash_parts, write_table
from probe.experiment.run import Run, stale_files
from probe.experiment.studies.study import Study, StudyResult, bracketed
from probe.experiment.training import FOLDER, parts

CHALLENGE = "moesd/challenge.parquet"
CATEGORIES = "moesd/categories.parquet"
RELIABILITY = "moesd/reliability.parquet"
ROC = "moesd/roc.parquet"
LEVELS = "moesd/levels.parquet"
RESULT = "moesd/challenge.json"

KNOWN = "held-out occupations"
"""The lexicon's own templates, with the occupations that no training saw."""
HARD = "hard"
"""All categories that are marked so, together."""


class GateChallenge(Study):
    """Ask the gate about prompts whose class is known by construction and that it never saw."""

    name = "gate"
    before = "generate"
    file = RESULT

    def stale(self, run: Run) -> str | None:
        """Look at every file."""
        files = (CHALLENGE, CATEGORIES, RELIABILITY, ROC, LEVELS, RESULT)
        return stale_files(run, self.made_from(run), *files)

    def make(self, run: Run) -> None:
        """Write the answers, what they are worth, the levels, and the result."""
        from probe.moesd.gate import evaluation
        from probe.moesd.gate.levels import correct_levels, summarise_levels
        from probe.moesd.model import MoESD
        from probe.text.constructed import Wordings, subjects_by_split

        made_from, wordings = self.made_from(run), Wordings.load()
        drawing: dict[str, Any] = {
            "n_bootstrap": run.config.probe.n_bootstrap,
            "seed": run.config.probe.seed,
        }
        moesd = MoESD.load(run.folder / FOLDER, run.load_encoder())
        subjects = subjects_by_split(run.prompts)
        asked = pd.concat(
            [_known(run), wordings.prompts(subjects, split="held_out")], ignore_index=True
        ).drop_duplicates("prompt", ignore_index=True)
        answers = evaluation.answer(moesd, asked)
        categories = _by_category(answers, **drawing)
        truth = answers["route_truth"].to_numpy(dtype=str)
        chances = answers[[name for name in answers.columns if name.startswith("p_")]].to_numpy()
        should_open = np.isin(truth, ("male-skewed", "female-skewed"))
        scores = chances[:, 1:3].sum(axis=1)
        levels = summarise_levels(correct_levels(moesd, wordings.by_level(subjects)), **drawing)
        tables = {
            CHALLENGE: answers,
            CATEGORIES: categories,
            RELIABILITY: evaluation.reliability(chances, truth),
            ROC: evaluation.roc(scores, should_open),
            LEVELS: levels,
        }
        for path, table in tables.items():
            kind = path.removeprefix("moesd/").removesuffix(".parquet")
            write_table(run.folder / path, table, run.provenance(kind, made_from))
        figures = {
            "reads": moesd.gate.reads,
            "categories": categories.to_dict("records"),
            "calibration_error": asdict(evaluation.calibration_error(chances, truth, **drawing)),
            "auc": asdict(evaluation.auc(scores, should_open, **drawing)),
            "abstained": int(answers["is_abstained"].sum()),
            "levels": levels.to_dict("records"),
            "misses": _misses(answers),
        }
        self.keep(run, _result(figures, n=len(answers)))

    def made_from(self, run: Run) -> str:
        """Hash of the settings, of everything that is read, and of the prompts."""
        from probe.text.constructed import CHALLENGE as WORDS

        return hash_parts(super().made_from(run), run.hashes(*parts(run)), hash_file(WORDS))


def _known(run: Run) -> pd.DataFrame:
    """Take the lexicon's prompts of held-out occupations as one more category."""
    table = run.prompts.table
    rows = table[table["split"] == "held_out"]
    said = rows["group"].isin(["male", "female"])
    return rows[["prompt", "subject", "split", "template"]].assign(
        category=KNOWN,
        is_hard=False,
        kind=np.where(said, "explicit", "person"),
        gender=rows["group"].where(said, ""),
    )


def _by_category(answers: pd.DataFrame, **drawing: Any) -> pd.DataFrame:
    """Share right by category and gate: the class itself, and what is done with the prompt."""
    from probe.moesd.gate.evaluation import accuracy, is_treated_right

    groups = dict(list(answers.groupby("category", sort=False)))
    groups[HARD] = answers[answers["is_hard"]]
    rows = []
    for name, of in groups.items():
        truth = of["route_truth"].to_numpy(dtype=str)
        templates = of["template"].to_numpy(dtype=str)
        for gate in ("trained", "closed"):
            route = of[f"route_{gate}"].to_numpy(dtype=str)
            right = {"class": route == truth, "treatment": is_treated_right(truth, route)}
            for measure, is_right in right.items():
                found = asdict(accuracy(is_right, templates, **drawing))
                rows.append({"category": name, "gate": gate, "measure": measure, **found})
    return pd.DataFrame(rows)


def _misses(answers: pd.DataFrame) -> list[dict[str, str]]:
    wrong = answers[answers["route_truth"] != answers["route_trained"]]
    columns = ["prompt", "category", "route_truth", "route_trained"]
    return [
        {str(key): str(of) for key, of in row.items()} for row in wrong[columns].to_dict("records")
    ]


def _result(figures: dict[str, Any], *, n: int) -> StudyResult:
    lines = [
        f"the trained gate reads {figures['reads']}; {n} prompts of known class, "
        f"{len(figures['misses'])} missed, {figures['abstained']} left alone as unsure"
    ]
    for row in figures["categories"]:
        if (row["gate"], row["measure"]) == ("trained", "class"):
            ends = bracketed(row["value"], row["low"], row["high"], digits=2)
            lines.append(f"{row['category']}: right in {ends}, n = {row['n']}")
    for name, title in (("calibration_error", "expected calibration error"), ("auc", "AUC")):
        lines.append(
            f"{title} {bracketed(*(figures[name][end] for end in ('value', 'low', 'high')))}"
        )
    for row in figures["levels"]:
        if row["measure"] == "opened":
            ends = bracketed(row["value"], row["low"], row["high"], digits=2)
            lines.append(f"level {row['level']}: corrected in {ends}")
    return StudyResult(lines, figures)
