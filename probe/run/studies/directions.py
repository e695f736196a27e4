"""How firm the bias axis is, and whether other estimators find the same one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.io.settings import Settings, setting
from probe.run.files import EMBEDDED
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.stages.fit import training_pairs, vectors
from probe.run.study import Study, StudyResult, Tables
from probe.stats.notation import bracketed
from probe.stats.resampling import Resampling

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DirectionsConfig(Settings):
    """How thoroughly the stability of the axis is measured."""

    n_refits: int = setting(
        100, "Times that an axis is fitted again on resampled pairs.", minimum=1
    )


@register
class Directions(Study):
    """Fit every estimator on the same pairs, and again on pairs resampled by occupation."""

    name = "directions"
    about = "stability of the bias axis, and its agreement with other estimators"
    settings = DirectionsConfig
    tables = ("latent/directions.parquet", "latent/stability.parquet")
    file = "latent/directions.json"
    inputs = EMBEDDED
    reads_settings = ("fit.estimator",)

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return the table of estimators, and the stability of the run's estimator."""
        import pandas as pd

        from probe.latent.association import share_correlation
        from probe.latent.directions.cones import direction_cone, pairwise_cosines, stability
        from probe.latent.directions.estimators import ESTIMATORS

        config, n_refits = run.config.probe, run.config.directions.n_refits
        z, table = vectors(run), run.prompts.table
        male, female = training_pairs(run)
        pairs = z[male], z[female]
        occupations = table["subject"].to_numpy()[male]
        templates = table["template"].to_numpy()[male]
        neutral = (table["group"] == "neutral").to_numpy()
        subjects = table[neutral].groupby("subject", sort=False)["share_women"].first()
        axes, rows = {}, []
        progress = run.progress_on("directions")
        for done, (name, estimator) in enumerate(ESTIMATORS.items(), start=1):
            axes[name] = estimator().fit(*pairs).direction_
            cone = direction_cone(
                estimator(),
                *pairs,
                clusters=occupations,
                resampling=Resampling(n_refits, config.seed),
            )
            places = pd.Series(z[neutral] @ axes[name]).groupby(
                table.loc[neutral, "subject"].to_numpy(), sort=False
            )
            found = share_correlation(places.mean()[subjects.index].to_numpy(), subjects.to_numpy())
            rows.append(
                {
                    "estimator": name,
                    "angle_median": cone.median,
                    "angle_high": cone.high,
                    "n_pairs": cone.n_pairs,
                    "n_clusters": cone.n_clusters,
                    **{f"correlation{end}": value for end, value in _limits(found).items()},
                    "n_subjects": found.n,
                }
            )
            if progress is not None:
                progress(done, len(ESTIMATORS))
        cosines = pairwise_cosines(axes)
        directions = pd.DataFrame(rows).assign(
            **{f"cosine_{name}": cosines[name].to_numpy() for name in cosines.columns}
        )
        own = ESTIMATORS[run.config.fit.estimator]()
        curves = [
            stability(own, *pairs, units=units, n_draws=n_refits, seed=config.seed).assign(
                unit=unit
            )
            for unit, units in (
                ("pair", None),
                ("template", templates),
                ("occupation", occupations),
            )
            if units is None or len(np.unique(units)) > 1
        ]
        tables = {"directions": directions, "stability": pd.concat(curves)}
        return tables, _result(run.config.fit.estimator, directions)


def _limits(found: Any) -> dict[str, float]:
    return {"": found.r, "_low": found.low, "_high": found.high}


def _result(chosen: str, table: pd.DataFrame) -> StudyResult:
    own = table.set_index("estimator").loc[chosen]
    others = {name: own[f"cosine_{name}"] for name in table["estimator"] if name != chosen}
    lines = [
        f"the axis of estimator {chosen} moves by {own['angle_median']:.1f} degrees when its "
        f"{own['n_clusters']:.0f} occupations are resampled (95 % below {own['angle_high']:.1f})",
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
