"""Whether other estimators find the same bias axis."""

import numpy as np

from probe.run.files import EMBEDDED
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.stages.fit import training_pairs, vectors
from probe.run.study import Study, Tables
from probe.stats.notation import bracketed


@register
class Directions(Study):
    """Fit every estimator on the same pairs, and compare their axes."""

    name = "directions"
    takes = "1 s"
    about = "the bias axes of all estimators: their cosines, and correlation with labour shares"
    tables = ("latent/directions.parquet",)
    file = "latent/directions.json"
    inputs = EMBEDDED
    reads_settings = ("fit.estimator",)

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the table of estimators."""
        import pandas as pd

        from probe.latent.directions.estimators import ESTIMATORS
        from probe.stats.correlation import share_correlation

        z, prompts = vectors(run), run.prompts.table
        male, female = training_pairs(run)
        is_measured = prompts["template_split"] == "test"
        is_neutral = (is_measured & (prompts["group"] == "neutral")).to_numpy()
        neutral = prompts[is_neutral]
        shares = neutral.groupby("subject", sort=False)["share_women"].first().to_numpy()
        axes = np.stack(
            [estimator().fit(z[male], z[female]).direction_ for estimator in ESTIMATORS.values()]
        )
        projections = pd.DataFrame(z[is_neutral] @ axes.T, columns=list(ESTIMATORS))
        by_subject = projections.groupby(neutral["subject"].to_numpy(), sort=False).mean()
        rows = []
        for name in ESTIMATORS:
            found = share_correlation(by_subject[name].to_numpy(), shares)
            limits = {"correlation_low": found.low, "correlation_high": found.high}
            row = {"estimator": name, "n_pairs": len(male), "n_subjects": found.n}
            rows.append({**row, "correlation": found.r, **limits})
        cosines = np.clip(axes @ axes.T, -1.0, 1.0)
        columns = [f"cosine_{name}" for name in ESTIMATORS]
        table = pd.DataFrame(rows).join(pd.DataFrame(cosines, columns=columns))
        chosen = run.config.fit.estimator
        own = table.set_index("estimator").loc[chosen]
        others = (f"{name} {own[f'cosine_{name}']:.2f}" for name in ESTIMATORS if name != chosen)
        lines = [f"cosine of the axis of estimator {chosen} with the others: {', '.join(others)}"]
        for row in table.itertuples():
            r = bracketed(row.correlation, row.correlation_low, row.correlation_high)
            lines.append(f"{row.estimator}: r with the labour shares {r}, n = {row.n_subjects}")
        figures = {"chosen": chosen, "estimators": table.to_dict("records")}
        return {"directions": table}, Answer("\n".join(lines), figures)
