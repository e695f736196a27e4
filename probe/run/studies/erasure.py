"""What erasers leave of the bias, and what they take along."""

from dataclasses import asdict

import numpy as np

from probe.run.files import EMBEDDED
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.stages.fit import training_pairs, vectors
from probe.run.study import Study, Tables
from probe.stats.notation import bracketed
from probe.stats.resampling import Resampling


@register
class Erasure(Study):
    """Erase gender from the explicit prompts, and measure the neutral ones afterwards."""

    name = "erasure"
    takes = "2 s"
    about = "what erasers leave of the bias, and what else they remove"
    tables = ("latent/erasure.parquet",)
    file = "latent/erasure.json"
    inputs = EMBEDDED

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the table of erasers."""
        import pandas as pd
        from sklearn.utils.validation import has_fit_parameter

        from probe.latent.directions import PairDirection
        from probe.latent.erasure.erasers import ERASERS
        from probe.latent.erasure.evaluation import erasure_table
        from probe.latent.erasure.lipstick import clusters_left

        config = run.config.study
        z, prompts = vectors(run), run.prompts.table
        male, female = run.prompts.pairs()
        explicit = np.sort(np.concatenate([male, female]))
        rows = prompts.iloc[explicit]
        table = erasure_table(
            z[explicit],
            rows["group"].to_numpy(),
            keep={"occupation": rows["subject"].to_numpy()},
            pairs=rows["pair"].to_numpy(),
            clusters=rows["subject"].to_numpy(),
            resampling=config.resampling,
        )
        seen = np.concatenate(training_pairs(run))
        is_male = (prompts["group"].to_numpy()[seen] == "male").astype(int)
        pairs = prompts["pair"].to_numpy()[seen]
        is_measured = prompts["template_split"] == "test"
        neutral = (is_measured & (prompts["group"] == "neutral")).to_numpy()
        half = len(seen) // 2
        bias = z[neutral] @ PairDirection().fit(z[seen[:half]], z[seen[half:]]).direction_
        subjects, left = prompts.loc[neutral, "subject"].to_numpy(), []
        for name in table["eraser"]:
            erased = z[neutral]
            if name != "none":
                eraser = ERASERS[name]()
                extra = {"pairs": pairs} if has_fit_parameter(eraser, "pairs") else {}
                erased = eraser.fit(z[seen], is_male, **extra).transform(erased)
            shuffles = Resampling(10_000, config.seed)
            found = clusters_left(erased, bias, words=subjects, permutations=shuffles)
            left.append(asdict(found))
        clusters = pd.DataFrame(left).rename(columns={"value": "accuracy"})
        table = table.join(clusters.add_prefix("clusters_"))
        lines = [
            f"{row.eraser}: gender predicted in "
            f"{bracketed(row.linear, row.linear_low, row.linear_high)} (nearest neighbour "
            f"{row.nearest:.3f}, chance {row.chance:.2f}), occupation in "
            f"{row.kept_occupation:.3f}, cosine {row.cosine:.3f}, neutral prompts still cluster "
            f"by bias in {row.clusters_accuracy:.2f} (chance {row.clusters_chance:.2f})"
            for row in table.itertuples()
        ]
        figures = {"erasers": table.to_dict("records"), "n": int(table["n"].max())}
        return {"erasure": table}, Answer("\n".join(lines), figures)
