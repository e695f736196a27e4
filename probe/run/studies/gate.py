"""Test the gate on prompts that were built to be hard, and on ever more explicit ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from probe.io.files import hash_file, hash_parts
from probe.run.files import EMBEDDED, correction_files
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables
from probe.stats.notation import interval

if TYPE_CHECKING:
    import pandas as pd

    from probe.stats.interval import Interval

KNOWN = "occupations never seen"
"""The lexicon's prompts for testing: templates and occupations that no training saw."""
HARD = "hard"
"""All categories of a set that are marked so, together."""
OPEN = ("male-skewed", "female-skewed")
TITLES = {
    "calibration_error": "expected calibration error",
    "auc": "AUC",
    "false_alarms": "opened though to be left alone",
}
"""Figures of a set of prompts."""


@register
class GateChallenge(Study):
    """Test the gate on prompts whose class is known by construction and that it never saw."""

    name = "gate"
    takes = "30 s"
    about = "the gate on prompts that were built to be hard, and on ever more specific ones"
    requires = ("train",)
    tables = tuple(
        f"moesd/{kind}.parquet"
        for kind in ("challenge", "categories", "reliability", "roc", "levels")
    )
    file = "moesd/challenge.json"
    is_english = True
    inputs = EMBEDDED

    def unmet(self, run: Run) -> str | None:
        """Its prompts are about gender."""
        of = run.config.train.attributes
        why = None if of.split(",")[0] == "gender" else f"it is about gender, not {of}"
        return why or super().unmet(run)

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the answers, their accuracy and calibration, and the levels."""
        import pandas as pd
        from sklearn.metrics import roc_curve

        from probe.moesd.evaluation import classify_with_truth, correct_levels, summarise_levels
        from probe.stats.classification import calibration_bins
        from probe.text.challenge_prompts import CHALLENGES, PromptTemplates, subjects_by_split

        drawing: dict[str, Any] = {"resampling": run.config.study.resampling}
        moesd = run.load_correction()
        subjects, asked, levels = subjects_by_split(run.prompts), [_known(run)], []
        for name, path in CHALLENGES.items():
            templates = PromptTemplates.load(path)
            prompts = templates.prompts(subjects, split="test")
            asked.append(prompts.assign(set=name, category=f"{name}: " + prompts["category"]))
            if templates.levels:
                corrected = correct_levels(moesd, templates.by_level(subjects))
                levels.append(summarise_levels(corrected, **drawing).assign(set=name))
        prompts = pd.concat(asked).drop_duplicates("prompt", ignore_index=True)
        answers = classify_with_truth(moesd, prompts)
        scores, should_open = _opening(answers)
        alarms, hits, thresholds = roc_curve(should_open, scores)
        tables = {
            "challenge": answers,
            "categories": _by_category(answers),
            "reliability": pd.DataFrame(calibration_bins(*_predicted(answers))),
            "roc": pd.DataFrame({"threshold": thresholds, "false_alarms": alarms, "hits": hits}),
            "levels": pd.concat(levels, ignore_index=True),
        }
        figures = {
            "n": len(answers),
            "n_missed": int((answers["route_truth"] != answers["route_trained"]).sum()),
            "reads": moesd.gate.reads,
            "has_list": moesd.gate.has_list,
            "categories": tables["categories"].to_dict("records"),
            **_by_set(answers, **drawing),
            "abstained": int(answers["is_abstained"].sum()),
            "levels": tables["levels"].to_dict("records"),
        }
        return tables, Answer("\n".join(_lines(figures)), figures)

    def made_from(self, run: Run) -> str:
        """Hash the settings, everything that is read, and the prompts."""
        from probe.text.challenge_prompts import CHALLENGES

        words = [hash_file(path) for path in CHALLENGES.values()]
        return hash_parts(super().made_from(run), run.hashes(*correction_files(run.config)), *words)


def _known(run: Run) -> pd.DataFrame:
    """Take the lexicon's prompts of occupations for testing as one more category."""
    table = run.prompts.table
    rows = table[(table["split"] == "test") & (table["group"] != "object")]
    is_explicit = rows["group"].isin(["male", "female"])
    return rows[["prompt", "subject", "split", "template"]].assign(
        set="lexicon",
        category=KNOWN,
        is_hard=False,
        kind=np.where(is_explicit, "explicit", "person"),
        gender=rows["group"].where(is_explicit, ""),
    )


def _predicted(answers: pd.DataFrame) -> tuple[Any, Any]:
    """Return the probability of the likeliest class, and whether it is the true one."""
    from probe.moesd.gate import CLASSES

    truth = answers["route_truth"].to_numpy(dtype=str)
    p = answers.filter(regex="^p_").to_numpy()
    return p.max(axis=1), np.asarray(CLASSES)[p.argmax(axis=1)] == truth


def _opening(answers: pd.DataFrame) -> tuple[Any, Any]:
    """Return the probability that the gate should open, and whether it should."""
    scores = answers[["p_male_skewed", "p_female_skewed"]].to_numpy().sum(axis=1)
    return scores, answers["route_truth"].isin(OPEN).to_numpy()


def _by_set(answers: pd.DataFrame, **drawing: Any) -> dict[str, Any]:
    """Measure each set as a whole: calibration, AUC, and the share of false alarms."""
    from probe.stats.classification import auc_interval, calibration_error

    found: dict[str, Any] = {key: {} for key in TITLES}
    for name, of in answers.groupby("set", sort=False):
        clusters = of["template"].to_numpy(dtype=str)
        error = calibration_error(*_predicted(of), clusters=clusters, **drawing)
        closed = of[of["kind"] != "person"]
        found["calibration_error"][name] = _row(error, len(of))
        found["auc"][name] = _row(auc_interval(*_opening(of), clusters=clusters), len(of))
        found["false_alarms"][name] = _share(closed["route_trained"].isin(OPEN), closed)
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
    return _row(proportion_interval(np.asarray(is_hit), clusters=clusters), len(of))


def _row(found: Interval, n_prompts: int) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": n_prompts}


def _lines(figures: dict[str, Any]) -> list[str]:
    looks = " and looks words up" if figures["has_list"] else ""
    lines = [
        f"the trained gate reads {figures['reads']}{looks}; {figures['n']} prompts of known class, "
        f"{figures['n_missed']} missed, {figures['abstained']} left alone as unsure"
    ]
    for row in figures["categories"]:
        if (row["gate"], row["measure"]) == ("trained", "class"):
            lines.append(f"{row['category']}: right in {interval(row, 2)}, n = {row['n']}")
    for name, title in TITLES.items():
        for of, row in figures[name].items():
            lines.append(f"{of}: {title} {interval(row)}, n = {row['n']}")
    for row in figures["levels"]:
        if row["measure"] == "opened":
            lines.append(f"{row['set']}: level {row['level']}: corrected in {interval(row, 2)}")
    return lines
