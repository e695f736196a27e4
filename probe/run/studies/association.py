"""How strongly occupations are associated with the genders: the measures of the field, tested."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from probe.errors import DataError
from probe.run.files import EMBEDDED, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.stages.fit import training_pairs, vectors
from probe.run.study import Study, StudyResult, Tables
from probe.stats.notation import bracketed

if TYPE_CHECKING:
    import pandas as pd

_UNITS = {
    "WEAT": "occupations",
    "RND": "gendered words",
    "ECT": "gendered words",
    "RIPA": "pairs of gendered words",
}
"""What each test permutes."""


@register
class Association(Study):
    """Compare occupations of mostly men with occupations of mostly women.

    An occupation is drawn with all its neutral templates, and a gendered word (man, boy, male)
    with all its prompts: near copies are no independent observations. The genders are the explicit
    prompts of the training occupations.
    """

    name = "association"
    about = "WEAT and related measures of association between occupations and genders"
    tables = ("latent/association.parquet",)
    file = "latent/association.json"
    inputs = (*EMBEDDED, SUBJECTS)

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return the table of measures."""
        import pandas as pd

        from probe.io.artifacts import read_table
        from probe.latent.association import ect, ripa, rnd, weat
        from probe.stats.correlation import share_regression
        from probe.stats.multiplicity import benjamini_hochberg, holm

        config = run.config.probe
        drawing: dict[str, Any] = {"resampling": config.resampling}
        z = vectors(run)
        men, women = _occupations(run, z)
        rows = training_pairs(run)
        male, female = (z[of] for of in rows)
        words = _gendered_words(run.prompts.table.iloc[rows[0]])
        everyone = np.concatenate([men, women]).mean(axis=1)
        men_jobs, women_jobs = (np.repeat(np.arange(len(of)), of.shape[1]) for of in (men, women))
        gendered: dict[str, Any] = {"target_clusters": (words, words), **drawing}
        tests: dict[str, Any] = {
            "WEAT": weat(
                men.reshape(-1, men.shape[2]),
                women.reshape(-1, women.shape[2]),
                male,
                female,
                target_clusters=(men_jobs, women_jobs),
                attribute_clusters=(words, words),
                **drawing,
            ),
            "RND": rnd(male, female, everyone, **gendered),
            "ECT": ect(male, female, everyone, **gendered),
            "RIPA": ripa(male, female, everyone, pair_clusters=words, **drawing),
        }
        table = pd.DataFrame(
            [
                {
                    "measure": name,
                    **{end: getattr(test, end) for end in ("value", "low", "high")},
                    **{end: getattr(test, end) for end in ("p", "p_low", "p_high", "is_exact")},
                    "n": test.n,
                    "unit": _UNITS[name],
                }
                for name, test in tests.items()
            ]
        )
        p = table["p"].to_numpy()
        table = table.assign(p_holm=holm(p), p_bh=benjamini_hochberg(p))
        subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
        line = share_regression(
            subjects["bias_score"].to_numpy(), subjects["share_women"].to_numpy()
        )
        return {"association": table}, _result(table, asdict(line))


def _gendered_words(prompts: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Name the pair of gendered words of each prompt, which the templates repeat in one order."""
    is_noun = prompts["template"].str.contains("{person}", regex=False)
    order = prompts.groupby(["subject", "template"]).cumcount().astype(str)
    return np.char.add(np.where(is_noun, "person", "adjective"), order.to_numpy(str))


def _occupations(run: Run, z: Any) -> tuple[Any, Any]:
    """Neutral prompts by occupation, mostly men's and mostly women's: (n, n_templates, width)."""
    table = run.prompts.table
    neutral = table[table["group"] == "neutral"]
    rows = neutral.groupby("subject", sort=False).indices
    places = neutral.index.to_numpy()
    shares = neutral.groupby("subject", sort=False)["share_women"].first()
    sides = tuple(
        np.stack([z[places[rows[name]]] for name in shares[keep].index]) if keep.any() else None
        for keep in (shares < 0.5, shares > 0.5)
    )
    if any(side is None for side in sides):
        raise DataError(
            "all occupations of the lexicon lie on one side of a share of 0.5; needed some of "
            "each to compare: add occupations"
        )
    return sides[0], sides[1]


def _result(table: pd.DataFrame, line: dict[str, Any]) -> StudyResult:
    lines = [
        f"{row.measure}: {bracketed(row.value, row.low, row.high)}, p = {row.p:.2g} "
        f"(Holm {row.p_holm:.2g}), {row.n} {row.unit}"
        for row in table.itertuples()
    ]
    lines.append(
        "bias score against women's share: slope "
        f"{bracketed(line['slope'], line['low'], line['high'])}, R2 {line['r2']:.2f}"
    )
    return StudyResult(lines, {"measures": table.to_dict("records"), "regression": line})
