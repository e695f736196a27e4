"""How strongly occupations are associated with the genders: the measures of the field, tested."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from probe.arrays import Float32
from probe.errors import DataError
from probe.io.artifacts import read_table
from probe.run.files import EMBEDDED, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.stages.fit import training_pairs, vectors
from probe.run.study import Study, Tables
from probe.stats.notation import bracketed, interval, p_value

if TYPE_CHECKING:
    import pandas as pd

    from probe.latent.association import AssociationResult

WORDS = "gendered words"


@register
class Association(Study):
    """Compare occupations of mostly men with occupations of mostly women.

    An occupation is drawn with all its neutral templates, and a gendered word (man, boy, male)
    with all its prompts: near copies are no independent observations. The genders are the explicit
    prompts of the training occupations.
    """

    name = "association"
    takes = "2 s"
    about = "WEAT and related measures of association between occupations and genders"
    tables = ("latent/association.parquet",)
    file = "latent/association.json"
    inputs = (*EMBEDDED, SUBJECTS)

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the table of measures."""
        from probe.latent.association import ect, ripa, rnd, weat
        from probe.stats.correlation import share_regression

        drawing: dict[str, Any] = {"resampling": run.config.study.resampling}
        z = vectors(run)
        men, women = _occupations(run, z)
        rows = training_pairs(run)
        male, female = (z[of] for of in rows)
        words = _gendered_words(run.prompts.table.iloc[rows[0]])
        everyone = np.concatenate([men, women]).mean(axis=1)
        men_jobs, women_jobs = (np.repeat(np.arange(len(of)), of.shape[1]) for of in (men, women))
        gendered: dict[str, Any] = {"target_clusters": (words, words), **drawing}
        of_jobs = weat(
            np.concatenate(men),
            np.concatenate(women),
            male,
            female,
            target_clusters=(men_jobs, women_jobs),
            attribute_clusters=(words, words),
            **drawing,
        )
        of_pairs = ripa(male, female, everyone, pair_clusters=words, **drawing)
        tests = [
            ("WEAT", "occupations", of_jobs),
            ("RND", WORDS, rnd(male, female, everyone, **gendered)),
            ("ECT", WORDS, ect(male, female, everyone, **gendered)),
            ("RIPA", f"pairs of {WORDS}", of_pairs),
        ]
        table = tests_table(({"measure": name, "unit": unit}, test) for name, unit, test in tests)
        subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
        bias_scores, shares = (subjects[name].to_numpy() for name in ("bias_score", "share_women"))
        line = share_regression(bias_scores, shares)
        lines = [
            f"{row['measure']}: {interval(row)}, {p_value(row['p'])}, by Holm "
            f"{p_value(row['p_holm'])}, {row['n']} {row['unit']}"
            for row in table.to_dict("records")
        ]
        slope = bracketed(line.slope, line.low, line.high)
        lines.append(f"bias score against women's share: slope {slope}, R2 {line.r2:.2f}")
        figures = {"measures": table.to_dict("records"), "regression": asdict(line)}
        return {"association": table}, Answer("\n".join(lines), figures)


def tests_table(tests: Iterable[tuple[dict[str, str], AssociationResult]]) -> pd.DataFrame:
    """Tabulate tests: what each is about, ``value, low, high, p, p_low, p_high, is_exact, n``.

    ``p_holm`` is ``p`` adjusted for all tests of the table.
    """
    import pandas as pd

    from probe.stats.multiplicity import holm

    columns = ("value", "low", "high", "p", "p_low", "p_high", "is_exact", "n")
    rows = [
        {**about, **{column: getattr(test, column) for column in columns}} for about, test in tests
    ]
    table = pd.DataFrame(rows)
    return table.assign(p_holm=holm(table["p"].to_numpy())) if rows else table


def _gendered_words(prompts: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Name the pair of gendered words of each prompt, which the templates repeat in one order."""
    is_noun = prompts["template"].str.contains("{person}", regex=False)
    order = prompts.groupby(["subject", "template"]).cumcount().astype(str)
    return np.char.add(np.where(is_noun, "person", "adjective"), order.to_numpy(str))


def _occupations(run: Run, z: Float32) -> tuple[Float32, Float32]:
    """Neutral prompts by occupation, mostly men's and mostly women's: (n, n_templates, width)."""
    table = run.prompts.table.reset_index(drop=True)
    is_measured = (table["group"] == "neutral") & (table["template_split"] == "test")
    neutral = table[is_measured].groupby("subject", sort=False)
    shares = neutral["share_women"].first()
    sides = [
        [z[neutral.groups[name]] for name in shares.index[is_side]]
        for is_side in (shares < 0.5, shares > 0.5)
    ]
    if not all(sides):
        raise DataError(
            "all occupations of the lexicon lie on one side of a share of 0.5; needed some of "
            "each to compare: add occupations"
        )
    return np.stack(sides[0]), np.stack(sides[1])
