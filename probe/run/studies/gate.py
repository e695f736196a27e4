"""What the gate makes of prompts that were built to be hard, and of ever more specific ones."""

from __future__ import annotations

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

    from probe.stats.interval import Interval

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

        from probe.moesd.evaluation import (
            classify_with_truth,
            correct_levels,
            summarise_levels,
        )
        from probe.moesd.model import MoESD
        from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split

        wordings = {name: PromptTemplates.load(path) for name, path in CHALLENGES.items()}
        drawing: dict[str, Any] = {"resampling": run.config.probe.resampling}
        moesd = MoESD.load(run.folder / MOESD, run.load_encoder())
        subjects = subjects_by_split(run.prompts)
        asked = {of: found.prompts(subjects, split="held_out") for of, found in wordings.items()}
        answers = classify_with_truth(
            moesd,
            pd.concat([_known(run), *(_named(table, of) for of, table in asked.items())])
            .drop_duplicates("prompt")
            .reset_index(drop=True),
        )
        categories = _by_category(answers)
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
            "reliability": _reliability(answers),
            "roc": _roc(answers),
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
    is_explicit = rows["group"].isin(["male", "female"])
    return rows[["prompt", "subject", "split", "template"]].assign(
        set="lexicon",
        category=KNOWN,
        is_hard=False,
        kind=np.where(is_explicit, "explicit", "person"),
        gender=rows["group"].where(is_explicit, ""),
    )


def _named(prompts: pd.DataFrame, of: str) -> pd.DataFrame:
    """Say of which set prompts are, and in the names of their categories, too."""
    return prompts.assign(set=of, category=f"{of}: " + prompts["category"])


def _predicted(answers: pd.DataFrame) -> tuple[Any, Any]:
    """Return the probability of the likeliest class, and whether it is the true one."""
    from probe.moesd.gate import CLASSES

    truth = answers["route_truth"].to_numpy(dtype=str)
    p = answers[[name for name in answers.columns if name.startswith("p_")]].to_numpy()
    return p.max(axis=1), np.asarray(CLASSES)[p.argmax(axis=1)] == truth


def _opening(answers: pd.DataFrame) -> tuple[Any, Any]:
    """Return the probability that the gate should open, and whether it should."""
    scores = answers[["p_male_skewed", "p_female_skewed"]].to_numpy().sum(axis=1)
    return scores, answers["route_truth"].isin(OPEN).to_numpy()


def _reliability(answers: pd.DataFrame) -> pd.DataFrame:
    """Compare probability and share right, by bin of the likeliest class's probability."""
    import pandas as pd

    from probe.stats.calibration import calibration_bins

    return pd.DataFrame(
        {
            **{"bin": of.bin, "probability": of.probability, "right": of.right.value},
            **{"low": of.right.low, "high": of.right.high, "n": of.right.n},
        }
        for of in calibration_bins(*_predicted(answers))
    )


def _roc(answers: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the rates of true and false openings, from (0, 0) to (1, 1)."""
    import pandas as pd
    from sklearn.metrics import roc_curve

    scores, should_open = _opening(answers)
    alarms, hits, thresholds = roc_curve(should_open, scores)
    return pd.DataFrame({"threshold": thresholds, "false_alarms": alarms, "hits": hits})


def _by_set(answers: pd.DataFrame, **drawing: Any) -> dict[str, Any]:
    """Measure each set as a whole: calibration, AUC, and the share of false alarms."""
    from probe.stats.auc import auc_interval
    from probe.stats.calibration import calibration_error

    found: dict[str, Any] = {"calibration_error": {}, "auc": {}, "false_alarms": {}}
    for name, of in answers.groupby("set", sort=False):
        closed = of[of["kind"] != "person"]
        opened = closed["route_trained"].isin(OPEN).to_numpy()
        clusters = of["template"].to_numpy(dtype=str)
        figures = {
            "calibration_error": calibration_error(*_predicted(of), clusters=clusters, **drawing),
            "auc": auc_interval(*_opening(of), clusters=clusters),
        }
        for key, figure in figures.items():
            found[key][name] = _row(figure, len(of))
        found["false_alarms"][name] = _share(opened, closed)
    return found


def _by_category(answers: pd.DataFrame) -> pd.DataFrame:
    """Share right by category and gate: the class itself, and the treatment of the prompt."""
    import pandas as pd

    from probe.moesd.evaluation import is_treated_right

    groups = dict(list(answers.groupby("category", sort=False)))
    for name, hard in answers[answers["is_hard"]].groupby("set", sort=False):
        groups[f"{name}: {HARD}"] = hard
    rows = []
    for name, of in groups.items():
        truth = of["route_truth"].to_numpy(dtype=str)
        for gate in ("trained", "closed"):
            route = of[f"route_{gate}"].to_numpy(dtype=str)
            right = {"class": route == truth, "treatment": is_treated_right(truth, route)}
            for measure, is_right in right.items():
                row = {"set": of["set"].iloc[0], "category": name, "gate": gate}
                rows.append({**row, "measure": measure, **_share(is_right, of)})
    return pd.DataFrame(rows)


def _share(is_hit: Any, of: pd.DataFrame) -> dict[str, float]:
    """Share of prompts with its interval over templates, whose prompts fail together."""
    from probe.stats.proportion import proportion_interval

    templates = of["template"].to_numpy(dtype=str)
    clusters = templates if len(set(templates)) > 1 else None
    return _row(proportion_interval(is_hit, clusters=clusters), len(of))


def _row(found: Interval, n_prompts: int) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": n_prompts}


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
