"""What erasers leave of the bias, and what they take along."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from probe.io.artifacts import write_table
from probe.run.folder import Run, stale_files
from probe.run.stages.fit import training_pairs, vectors
from probe.run.studies.study import Study, StudyResult, bracketed

TABLE = "latent/erasure.parquet"
RESULT = "latent/erasure.json"


class Erasure(Study):
    """Erase gender from the explicit prompts, and look at the neutral ones afterwards."""

    name = "erasure"
    file = RESULT

    def stale(self, run: Run) -> str | None:
        """Look at both files."""
        return stale_files(run, self.made_from(run), TABLE, RESULT)

    def make(self, run: Run) -> None:
        """Write the table of erasers and the result."""
        from sklearn.utils.validation import has_fit_parameter

        from probe.latent.directions import PairDirection
        from probe.latent.erasure.erasers import ERASERS
        from probe.latent.erasure.evaluation import erasure_table
        from probe.latent.erasure.lipstick import clusters_left

        config, made_from = run.config.probe, self.made_from(run)
        z, prompts = vectors(run), run.prompts.table
        male, female = run.prompts.pairs()
        said = np.sort(np.concatenate([male, female]))
        rows = prompts.iloc[said]
        table = erasure_table(
            z[said],
            rows["group"].to_numpy(),
            keep={"occupation": rows["subject"].to_numpy()},
            pairs=rows["pair"].to_numpy(),
            clusters=rows["subject"].to_numpy(),
            resampling=config.resampling,
        )
        seen = np.concatenate(training_pairs(run))
        is_male = (prompts["group"].to_numpy()[seen] == "male").astype(int)
        pairs = prompts["pair"].to_numpy()[seen]
        neutral = (prompts["group"] == "neutral").to_numpy()
        half = len(seen) // 2
        lean = z[neutral] @ PairDirection().fit(z[seen[:half]], z[seen[half:]]).direction_
        left = []
        for name in table["eraser"]:
            erased = z[neutral]
            if name != "none":
                eraser = ERASERS[name]()
                extra = {"pairs": pairs} if has_fit_parameter(eraser, "pairs") else {}
                eraser.fit(z[seen], is_male, **extra)
                erased = eraser.transform(erased)
            left.append(asdict(clusters_left(erased, lean, seed=config.seed)))
        table = table.join(pd.DataFrame(left).add_prefix("clusters_"))
        write_table(run.folder / TABLE, table, run.provenance("erasure", made_from))
        self.keep(run, _result(table))


def _result(table: pd.DataFrame) -> StudyResult:
    lines = [
        f"{row.eraser}: gender told in {bracketed(row.linear, row.linear_low, row.linear_high)} "
        f"(nearest neighbour {row.nearest:.3f}, chance {row.chance:.2f}), occupation in "
        f"{row.kept_occupation:.3f}, cosine {row.cosine:.3f}, neutral prompts still cluster by "
        f"lean in {row.clusters_accuracy:.2f} (chance {row.clusters_chance:.2f})"
        for row in table.itertuples()
    ]
    return StudyResult(lines, {"erasers": table.to_dict("records"), "n": int(table["n"].max())})
