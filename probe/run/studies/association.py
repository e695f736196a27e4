"""How strongly occupations are associated with the genders: the measures of the field, tested."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.errors import DataError
from probe.run.files import EMBEDDED, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.stages.fit import training_pairs, vectors
from probe.run.study import Study, StudyResult, Tables, bracketed

if TYPE_CHECKING:
    import pandas as pd


@register
class Association(Study):
    """Compare occupations held mostly by men with those held mostly by women.

    A word is an occupation, in all neutral templates; its sentences move together in every test.
    The attributes are the explicit prompts of the training occupations, male and female.
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
        from probe.latent.association import ect, ripa, rnd, seat, share_regression
        from probe.stats.multiplicity import benjamini_hochberg, holm

        config = run.config.probe
        drawing: dict[str, Any] = {"resampling": config.resampling}
        z = vectors(run)
        men, women = _occupations(run, z)
        male, female = (z[rows] for rows in training_pairs(run))
        everyone = np.concatenate([men, women]).mean(axis=1)
        tests: dict[str, Any] = {
            "WEAT": seat(men, women, male[:, None], female[:, None], **drawing),
            "RND": rnd(male, female, everyone, **drawing),
            "ECT": ect(male, female, everyone, **drawing),
            "RIPA": ripa(male, female, everyone, **drawing),
        }
        table = pd.DataFrame(
            [
                {
                    "measure": name,
                    **{end: getattr(test, end) for end in ("value", "low", "high")},
                    **{end: getattr(test, end) for end in ("p", "p_low", "p_high", "is_exact")},
                    "n": int(np.sum(test.n)),
                }
                for name, test in tests.items()
            ]
        )
        p = table["p"].to_numpy()
        table = table.assign(p_holm=holm(p), p_bh=benjamini_hochberg(p))
        subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
        line = share_regression(
            subjects["bias_score"].to_numpy(), subjects["share_women"].to_numpy(), **drawing
        )
        return {"association": table}, _result(table, asdict(line))


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
        f"(Holm {row.p_holm:.2g}), n = {row.n}"
        for row in table.itertuples()
    ]
    lines.append(
        "bias score against women's share: slope "
        f"{bracketed(line['slope'], line['low'], line['high'])}, R2 {line['r2']:.2f}"
    )
    return StudyResult(lines, {"measures": table.to_dict("records"), "regression": line})
