"""What the gate makes of prompts that were built to be hard, and of ever more specific ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.io.files import hash_file, hash_parts
from probe.run.files import EMBEDDED, MOESD, correction_files
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.study import Study, StudyResult, Tables
from probe.stats.notation import bracketed

if TYPE_CHECKING:
    import pandas as pd

KNOWN = "held-out occupations"
"""The lexicon's own templates, with the occupations that no training saw."""
HARD = "hard"
"""All categories of a set that are marked so, together."""
OPEN = ("male-skewed", "female-skewed")


@register
class GateChallenge(Study):
    """Test the gate on prompts whose class is known by construction and that it never saw."""

    name = "gate"
    about = "the gate on prompts that were built to be hard, and on ever more specific ones"
    requires = ("train",)
    tables = tuple(
        f"moesd/{kind}.parquet"
        for kind in ("challenge", "categories", "reliability", "roc", "levels")
    )
    file = "moesd/challenge.json"
    inputs = EMBEDDED

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return the answers, their accuracy and calibration, and the levels."""
        import pandas as pd

        from probe.moesd.evaluation.gate_accuracy import answer, reliability
        from probe.moesd.evaluation.levels import correct_levels, summarise_levels
        from probe.moesd.evaluation.roc import roc
        from probe.moesd.model import MoESD
        from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split

        wordings = {name: PromptTemplates.load(path) for name, path in CHALLENGES.items()}
        drawing: dict[str, Any] = {"resampling": run.config.probe.resampling}
        moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
        subjects = subjects_by_split(run.prompts)
        asked = {of: found.prompts(subjects, split="held_out") for of, found in wordings.items()}
        answers = answer(
            moesd,
            pd.concat([_known(run), *(_named(table, of) for of, table in asked.items())])
            .drop_duplicates("prompt")
            .reset_index(drop=True),
        )
        categories = _by_category(answers, **drawing)
        chances, truth, scores, should_open = _chances(answers)
        levels = pd.concat(
            [
                summarise_levels(correct_levels(moesd, of.by_level(subjects)), **drawing).assign(
                    set=name
                )
                for name, of in wordings.items()
                if of.levels
            ],
            ignore_index=True,
        )
        tables = {
            "challenge": answers,
            "categories": categories,
            "reliability": reliability(chances, truth),
            "roc": roc(scores, should_open),
            "levels": levels,
        }
        figures = {
            "reads": moesd.gate.reads,
            "has_list": moesd.gate.has_list,
            "categories": categories.to_dict("records"),
            **_by_set(answers, **drawing),
            "abstained": int(answers["is_abstained"].sum()),
            "levels": levels.to_dict("records"),
            "misses": _misses(answers),
        }
        return tables, _result(figures, n=len(answers))

    def made_from(self, run: Run) -> str:
        """Hash the settings, everything that is read, and the prompts."""
        from probe.text.challenge_prompts import CHALLENGES

        words = [hash_file(path) for path in CHALLENGES.values()]
        return hash_parts(super().made_from(run), run.hashes(*correction_files(run.config)), *words)


def _known(run: Run) -> pd.DataFrame:
    """Take the lexicon's prompts of held-out occupations as one more category."""
    table = run.prompts.table
    rows = table[table["split"] == "held_out"]
    said = rows["group"].isin(["male", "female"])
    return rows[["prompt", "subject", "split", "template"]].assign(
        set="lexicon",
        category=KNOWN,
        is_hard=False,
        kind=np.where(said, "explicit", "person"),
        gender=rows["group"].where(said, ""),
    )


def _named(prompts: pd.DataFrame, of: str) -> pd.DataFrame:
    """Say of which set prompts are, and in the names of their categories, too."""
    return prompts.assign(set=of, category=f"{of}: " + prompts["category"])


def _chances(answers: pd.DataFrame) -> tuple[Any, Any, Any, Any]:
    """Give the probabilities of the classes, the true ones, the score and whether to open."""
    truth = answers["route_truth"].to_numpy(dtype=str)
    chances = answers[[name for name in answers.columns if name.startswith("p_")]].to_numpy()
    return chances, truth, chances[:, 1:3].sum(axis=1), np.isin(truth, OPEN)


def _by_set(answers: pd.DataFrame, **drawing: Any) -> dict[str, Any]:
    """Give what is said of a set as a whole: calibration, AUC, and the share of false alarms."""
    from probe.moesd.evaluation.gate_accuracy import accuracy, calibration_error
    from probe.moesd.evaluation.roc import auc

    found: dict[str, Any] = {"calibration_error": {}, "auc": {}, "false_alarms": {}}
    for name, of in answers.groupby("set", sort=False):
        chances, truth, scores, should_open = _chances(of)
        closed = of[of["kind"] != "person"]
        opened = closed["route_trained"].isin(OPEN).to_numpy()
        templates = of["template"].to_numpy(dtype=str)
        figures = {
            "calibration_error": calibration_error(chances, truth, templates=templates, **drawing),
            "auc": auc(scores, should_open, templates=templates),
            "false_alarms": accuracy(opened, closed["template"].to_numpy(dtype=str)),
        }
        for key, figure in figures.items():
            found[key][name] = asdict(figure)
    return found


def _by_category(answers: pd.DataFrame, **drawing: Any) -> pd.DataFrame:
    """Share right by category and gate: the class itself, and what is done with the prompt."""
    import pandas as pd

    from probe.moesd.evaluation.gate_accuracy import accuracy, is_treated_right

    groups = dict(list(answers.groupby("category", sort=False)))
    for name, hard in answers[answers["is_hard"]].groupby("set", sort=False):
        groups[f"{name}: {HARD}"] = hard
    rows = []
    for name, of in groups.items():
        truth = of["route_truth"].to_numpy(dtype=str)
        templates = of["template"].to_numpy(dtype=str)
        for gate in ("trained", "closed"):
            route = of[f"route_{gate}"].to_numpy(dtype=str)
            right = {"class": route == truth, "treatment": is_treated_right(truth, route)}
            for measure, is_right in right.items():
                found = asdict(accuracy(is_right, templates))
                row = {"set": of["set"].iloc[0], "category": name, "gate": gate}
                rows.append({**row, "measure": measure, **found})
    return pd.DataFrame(rows)


def _misses(answers: pd.DataFrame) -> list[dict[str, str]]:
    wrong = answers[answers["route_truth"] != answers["route_trained"]]
    columns = ["prompt", "category", "route_truth", "route_trained"]
    return [
        {str(key): str(of) for key, of in row.items()} for row in wrong[columns].to_dict("records")
    ]


def _result(figures: dict[str, Any], *, n: int) -> StudyResult:
    looks = " and looks words up" if figures["has_list"] else ""
    lines = [
        f"the trained gate reads {figures['reads']}{looks}; {n} prompts of known class, "
        f"{len(figures['misses'])} missed, {figures['abstained']} left alone as unsure"
    ]
    for row in figures["categories"]:
        if (row["gate"], row["measure"]) == ("trained", "class"):
            lines.append(f"{row['category']}: right in {_ends(row)}, n = {row['n']}")
    titles = {
        "calibration_error": "expected calibration error",
        "auc": "AUC",
        "false_alarms": "opened though to be left alone",
    }
    for name, title in titles.items():
        for of, row in figures[name].items():
            lines.append(f"{of}: {title} {_ends(row, digits=3)}, n = {row['n']}")
    for row in figures["levels"]:
        if row["measure"] == "opened":
            lines.append(f"{row['set']}: level {row['level']}: corrected in {_ends(row)}")
    return StudyResult(lines, figures)


def _ends(row: dict[str, Any], *, digits: int = 2) -> str:
    return bracketed(row["value"], row["low"], row["high"], digits=digits)
