"""Whether a map that is told the groups places prompts it has not seen among their own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from probe.errors import DataError
from probe.io.artifacts import write_table
from probe.run.folder import Run, stale_files
from probe.run.stages.fit import vectors
from probe.run.studies.study import Study, StudyResult, bracketed

TABLE = "latent/maps.parquet"
RESULT = "latent/maps.json"
WEIGHTS = {"umap": 0.0, "supervised": 0.5}
"""By map, the weight of the groups in it."""


class Maps(Study):
    """Draw two maps of the prompts that may be learnt from, and place the held-out ones on them."""

    name = "maps"
    file = RESULT

    def stale(self, run: Run) -> str | None:
        """Look at both files."""
        return stale_files(run, self.made_from(run), TABLE, RESULT)

    def lacks(self, run: Run) -> str | None:
        """Prompts that are to be placed must be there."""
        if (run.prompts.table["split"] == "held_out").any():
            return None
        return "no occupation is held out; needed at least 2 to place on a map of the others"

    def make(self, run: Run) -> None:
        """Write the places and the result."""
        from probe.latent.maps import neighbor_map
        from probe.latent.maps.faithfulness import map_faithfulness

        if why := self.lacks(run):
            raise DataError(f"{run.folder}: {why}")
        config, made_from = run.config.probe, self.made_from(run)
        z, table = vectors(run), run.prompts.table
        groups = table["group"].to_numpy(dtype=str)
        is_new = (table["split"] == "held_out").to_numpy()
        columns = ["prompt", "group", "subject", "split", "share_women"]
        placed, figures = table[columns].copy(), {}
        for name, weight in WEIGHTS.items():
            found = neighbor_map(
                z[~is_new], labels=groups[~is_new], label_weight=weight, seed=config.seed
            )
            places = np.empty((len(z), 2))
            places[~is_new], places[is_new] = found.coordinates, found.place(z[is_new])
            placed[f"{name}_x"], placed[f"{name}_y"] = places.T
            kept = map_faithfulness(z, places, resampling=config.resampling)
            figures[name] = {
                "faithfulness": asdict(kept),
                "told": _told(places, groups, table["subject"], is_new),
            }
        write_table(run.folder / TABLE, placed, run.provenance("maps", made_from, seed=config.seed))
        self.keep(run, _result(figures))


def _told(
    places: npt.NDArray[np.float64],
    groups: npt.NDArray[np.str_],
    subjects: pd.Series,
    is_new: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Share of the new prompts whose nearest known one on the map is of their group."""
    from sklearn.neighbors import NearestNeighbors

    from probe.stats.proportion import proportion_interval

    search = NearestNeighbors(n_neighbors=1).fit(places[~is_new])
    nearest = search.kneighbors(places[is_new], return_distance=False)[:, 0]
    is_told = groups[~is_new][nearest] == groups[is_new]
    occupations = pd.factorize(subjects[is_new])[0]
    clusters = occupations if occupations.max() > 0 else None
    found = proportion_interval(is_told, clusters=clusters, unit="occupations")
    chance = float(pd.Series(groups[is_new]).value_counts(normalize=True).max())
    return {**asdict(found), "chance": chance, "n": int(is_new.sum())}


def _result(figures: dict[str, Any]) -> StudyResult:
    titles = {"umap": "a map of the prompts alone", "supervised": "a map that is told the groups"}
    lines = []
    for name, found in figures.items():
        told, kept = found["told"], found["faithfulness"]
        lines.append(
            f"{titles[name]} places "
            + bracketed(told["value"], told["low"], told["high"])
            + f" of {told['n']} held-out prompts beside their own group (chance "
            f"{told['chance']:.2f}); trustworthiness {kept['trustworthiness']:.2f}, "
            f"{kept['kept']:.0%} of {kept['n_neighbors']} neighbours kept"
        )
    return StudyResult(lines, figures)
