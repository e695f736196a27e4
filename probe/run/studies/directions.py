"""How firm the bias axis is, and whether other estimators find the same one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from probe.io.artifacts import write_table
from probe.run.folder import Run, stale_files
from probe.run.stages.fit import training_pairs, vectors
from probe.run.studies.study import Study, StudyResult, bracketed
from probe.stats.resampling import Resampling

TABLE = "latent/directions.parquet"
STABILITY = "latent/stability.parquet"
RESULT = "latent/directions.json"


class Directions(Study):
    """Fit every estimator on the same pairs, and draw the pairs anew by occupation."""

    name = "directions"
    file = RESULT

    def stale(self, run: Run) -> str | None:
        """Look at every file."""
        return stale_files(run, self.made_from(run), TABLE, STABILITY, RESULT)

    def make(self, run: Run) -> None:
        """Write the table of estimators, the stability of the run's own, and the result."""
        from probe.latent.association import share_correlation
        from probe.latent.directions.cones import direction_cone, pairwise_cosines, stability
        from probe.latent.directions.estimators import ESTIMATORS

        config, made_from = run.config.probe, self.made_from(run)
        z, table = vectors(run), run.prompts.table
        male, female = training_pairs(run)
        pairs = z[male], z[female]
        occupations = table["subject"].to_numpy()[male]
        templates = table["template"].to_numpy()[male]
        neutral = (table["group"] == "neutral").to_numpy()
        subjects = table[neutral].groupby("subject", sort=False)["share_women"].first()
        axes, rows = {}, []
        told = run.progress_on("directions")
        for done, (name, estimator) in enumerate(ESTIMATORS.items(), start=1):
            axes[name] = estimator().fit(*pairs).direction_
            cone = direction_cone(
                estimator(),
                *pairs,
                clusters=occupations,
                resampling=Resampling(config.n_refits, config.seed),
            )
            places = pd.Series(z[neutral] @ axes[name]).groupby(
                table.loc[neutral, "subject"].to_numpy(), sort=False
            )
            found = share_correlation(
                places.mean()[subjects.index].to_numpy(),
                subjects.to_numpy(),
                resampling=config.resampling,
            )
            rows.append(
                {
                    "estimator": name,
                    "angle_median": cone.median,
                    "angle_high": cone.high,
                    "n_pairs": cone.n_pairs,
                    "n_clusters": cone.n_clusters,
                    **{f"correlation{end}": value for end, value in _ends(found).items()},
                    "n_subjects": found.n,
                }
            )
            if told is not None:
                told(done, len(ESTIMATORS))
        cosines = pairwise_cosines(axes)
        directions = pd.DataFrame(rows).assign(
            **{f"cosine_{name}": cosines[name].to_numpy() for name in cosines.columns}
        )
        own = ESTIMATORS[run.config.fit.estimator]()
        curves = [
            stability(own, *pairs, units=units, n_draws=config.n_refits, seed=config.seed).assign(
                unit=unit
            )
            for unit, units in (
                ("pair", None),
                ("template", templates),
                ("occupation", occupations),
            )
            if units is None or len(np.unique(units)) > 1
        ]
        write_table(run.folder / TABLE, directions, run.provenance("directions", made_from))
        write_table(
            run.folder / STABILITY, pd.concat(curves), run.provenance("stability", made_from)
        )
        self.keep(run, _result(run.config.fit.estimator, directions))


def _ends(found: Any) -> dict[str, float]:
    return {"": found.r, "_low": found.low, "_high": found.high}


def _result(chosen: str, table: pd.DataFrame) -> StudyResult:
    own = table.set_index("estimator").loc[chosen]
    others = {name: own[f"cosine_{name}"] for name in table["estimator"] if name != chosen}
    lines = [
        f"the axis of estimator {chosen} moves by {own['angle_median']:.1f} degrees when its "
        f"{own['n_clusters']:.0f} occupations are drawn anew (95 % below {own['angle_high']:.1f})",
        "cosine with the other estimators: "
        + ", ".join(f"{name} {value:.2f}" for name, value in others.items()),
        *(
            f"{row.estimator}: r with the labour shares "
            + bracketed(row.correlation, row.correlation_low, row.correlation_high)
            + f", n = {row.n_subjects}"
            for row in table.itertuples()
        ),
    ]
    return StudyResult(lines, {"chosen": chosen, "estimators": table.to_dict("records")})
