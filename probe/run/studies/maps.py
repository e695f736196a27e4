"""Whether a map fitted with the groups as labels places other prompts among their group."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Double, Mask
from probe.run.files import EMBEDDED
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.stages.fit import vectors
from probe.run.study import Study, Tables
from probe.stats.notation import interval, percent

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS = {"umap": 0.0, "supervised": 0.5}
"""By map, the weight of the groups in it."""
TITLES = {"umap": "a map of the prompts alone", "supervised": "a map fitted with the groups"}


@register
class Maps(Study):
    """Fit two maps to the training prompts, and place the prompts for testing on them."""

    name = "maps"
    takes = "10 s"
    about = "maps of the prompts with and without group labels, tested on prompts never seen"
    tables = ("latent/maps.parquet",)
    file = "latent/maps.json"
    inputs = EMBEDDED

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the place of every prompt on both maps."""
        from probe.latent.maps import map_faithfulness, neighbor_map

        config = run.config.study
        chosen = run.prompts.is_training | (run.prompts.table["split"] == "test").to_numpy()
        z, table = vectors(run)[chosen], run.prompts.take(chosen).table
        groups = table["group"].to_numpy(dtype=str)
        is_new = (table["split"] == "test").to_numpy()
        columns = ["prompt", "group", "subject", "split", "share_women"]
        placed, figures, lines = table[columns].copy(), {}, []
        for name, weight in WEIGHTS.items():
            found = neighbor_map(
                z[~is_new], labels=groups[~is_new], label_weight=weight, seed=config.seed
            )
            places = np.empty((len(z), 2))
            places[~is_new], places[is_new] = found.coordinates, found.place(z[is_new])
            placed[f"{name}_x"], placed[f"{name}_y"] = places.T
            kept = map_faithfulness(z, places, resampling=config.resampling)
            test = _placed(places, table, is_new)
            figures[name] = {"faithfulness": asdict(kept), "placed": test}
            lines.append(
                f"{TITLES[name]} places {interval(test)} of {test['n']} prompts never seen beside "
                f"their own group (chance {test['chance']:.2f}); trustworthiness "
                f"{kept.trustworthiness:.2f}, {percent(kept.kept, 0)} of {kept.n_neighbors} "
                "neighbours kept"
            )
        return {"maps": placed}, Answer("\n".join(lines), figures)


def _placed(places: Double, prompts: pd.DataFrame, is_new: Mask) -> dict[str, Any]:
    """Share of the new prompts whose nearest known one on the map is of their group."""
    import pandas as pd
    from sklearn.neighbors import KNeighborsClassifier

    from probe.stats.proportion import proportion_interval

    groups = prompts["group"].to_numpy(dtype=str)
    nearest = KNeighborsClassifier(n_neighbors=1).fit(places[~is_new], groups[~is_new])
    is_right = nearest.predict(places[is_new]) == groups[is_new]
    occupations = pd.factorize(prompts["subject"][is_new])[0]
    clusters = occupations if occupations.max() > 0 else None
    found = proportion_interval(is_right, clusters=clusters, unit="subjects")
    chance = float(prompts["group"][is_new].value_counts(normalize=True).max())
    return {**asdict(found), "chance": chance, "n": int(is_new.sum())}
