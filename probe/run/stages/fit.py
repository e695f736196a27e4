"""Stage 2: the bias direction, what it goes with, and the map of prompts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from probe.io.artifacts import (
    read_json,
    read_provenance,
    read_table,
    read_tensors,
    write_json,
    write_table,
    write_tensors,
)
from probe.io.files import hash_parts
from probe.io.settings import Settings, seed_setting, setting, settings_line
from probe.run.files import DIRECTION, EMBEDDED, EMBEDDINGS, FIT, MAP, SUBJECTS
from probe.run.folder import Run, stale_files
from probe.run.registry import Answer, Stage, register
from probe.stats.notation import interval, p_value
from probe.stats.resampling import Resampled, Resampling

if TYPE_CHECKING:
    import pandas as pd

    from probe.arrays import Double, Float32, Indices
    from probe.latent.directions import BiasDirection
    from probe.latent.erasure import CalibratedProjection

ESTIMATORS = ("pairs", "pca", "lda", "logistic")
"""Names of `probe.latent.directions.estimators.ESTIMATORS`, known without importing it."""
CONCEPT = "gender"


@dataclass(frozen=True)
class FitConfig(Resampled, Settings):
    """How the bias direction is estimated and measured."""

    estimator: str = setting(
        "pairs", "Which axis: pairs, pca, lda or logistic.", choices=ESTIMATORS
    )
    strength: float = setting(500.0, "Lambda of the calibrated projection.", minimum=0)
    n_bootstrap: int = setting(2000, "Resamples behind each interval.", minimum=1, maximum=10**6)
    seed: int = seed_setting("Seed of the resamples and of the map.")


@register
class Fit(Stage):
    """Fit the direction on the pairs for training, then measure all prompts."""

    name = "fit"
    about = "Fit the bias direction of RUN and place its prompts on it."
    requires = ("embed",)
    settings = FitConfig

    def stale(self, run: Run) -> str | None:
        """Look at every file; the map may have been completed by ``train``."""
        from probe.run.user_prompts import stale_places

        return (
            stale_files(run, direction_made_from(run), DIRECTION, SUBJECTS)
            or stale_files(run, self.made_from(run), FIT)
            or stale_places(run)
            or stale_map(run, completed=None)
        )

    def make(self, run: Run) -> None:
        """Write the direction, its figures, the subjects, and the map if it is not up to date."""
        import numpy as np

        from probe.latent.erasure import bias_score
        from probe.run.user_prompts import place_user_prompts
        from probe.stats.correlation import share_correlation
        from probe.stats.mean import mean_interval

        config, made_from = run.config.fit, direction_made_from(run)
        z, table = vectors(run), run.prompts.table
        male, female = (z[rows] for rows in training_pairs(run))
        direction, projection = fit_axis(run, z)
        # One midpoint for all: a midpoint per occupation would carry the bias itself.
        means = [bias_score(side, direction, projection).mean() for side in (male, female)]
        midpoint = sum(means) / 2

        def place(rows: Float32) -> tuple[Double, Double]:
            score = bias_score(rows, direction, projection) - midpoint
            return score, direction.project(rows)

        scores, projections = place(z)
        table = table.assign(bias_score=scores, projection=projections)
        subjects = subject_scores(table).assign(group="neutral")
        correlation = share_correlation(
            subjects["bias_score"].to_numpy(), subjects["share_women"].to_numpy()
        )
        pairs, jobs = run.prompts.pairs(), table["subject"].to_numpy()
        gap = mean_interval(
            projections[pairs[0]] - projections[pairs[1]],
            clusters=jobs[pairs[0]] if len(set(jobs[pairs[0]])) > 1 else None,
            resampling=config.resampling,
            unit="occupations",
        )
        places, faithfulness = _map(z, table, config.seed)
        figures = {
            "share_correlation": asdict(correlation),
            "gap": asdict(gap),
            "n_pairs": len(male),
            "maps": faithfulness,
        }
        if stale_map(run, completed=None):  # else `train` has completed it, and it stays
            made = run.provenance("map", _map_made_from(run), seed=config.seed)
            write_table(run.folder / MAP, places, made)
        write_table(run.folder / SUBJECTS, subjects, run.provenance("subjects", made_from))
        made = run.provenance("fit", self.made_from(run), seed=config.seed)
        write_json(run.folder / FIT, figures, made)
        arrays = {
            "vector": direction.vector,
            "basis": projection.basis_,
            "shrinkage": projection.shrinkage_,
            "midpoint": np.array([midpoint]),
        }
        write_tensors(run.folder / DIRECTION, arrays, run.provenance("direction", made_from))
        place_user_prompts(run, place)

    def result(self, run: Run) -> Answer:
        """Read the figures.

        Pearson's ``share_correlation`` is negative when the encoder is biased; the ``gap`` is that
        of male minus female prompts on the direction, in embedding units, which is fitted on
        ``n_pairs`` pairs; ``maps`` holds the figures of `MapFaithfulness` by method.
        """
        found = read_json(run.folder / FIT, kind="fit")[0]
        r, gap = found["share_correlation"], found["gap"]
        text = (
            f"bias score against women's share of {r['n']} occupations: r = "
            f"{interval(r | {'value': r['r']})}, {p_value(r['p'])}\n"
            f"male minus female prompts on the direction: {interval(gap)}, from "
            f"{found['n_pairs']} pairs"
        )
        return Answer(text, found)

    def made_from(self, run: Run) -> str:
        """Hash the settings and inputs of the figures."""
        return hash_parts("fit", settings_line(run.config.fit), direction_made_from(run))


def fit_axis(run: Run, z: Float32) -> tuple[BiasDirection, CalibratedProjection]:
    """Fit direction and projection to the pairs for training of a run's prompts, embedded as z."""
    from probe.latent.directions.estimators import ESTIMATORS
    from probe.latent.erasure import CalibratedProjection

    config = run.config.fit
    male, female = (z[rows] for rows in training_pairs(run))
    fitted = ESTIMATORS[config.estimator]().fit(male, female)
    direction = fitted.result(concept=CONCEPT, encoder=f"{run.config.model}@{run.revision}")
    return direction, CalibratedProjection(strength=config.strength).fit(male, female)


def subject_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Average the bias scores of each occupation's neutral prompts for measuring."""
    neutral = table[(table["group"] == "neutral") & (table["template_split"] == "test")]
    of_subject = neutral.groupby(["subject", "split"], sort=False, as_index=False)
    return of_subject[["share_women", "bias_score"]].mean()


def direction_made_from(run: Run) -> str:
    """Hash what the direction and the subjects' bias scores depend on: no resamples, no seed."""
    settings = settings_line(run.config.fit, without=("n_bootstrap", "seed"))
    return hash_parts("direction", settings, run.hashes(*EMBEDDED))


def _map_made_from(run: Run) -> str:
    return hash_parts("map", direction_made_from(run), str(run.config.fit.seed))


def training_pairs(run: Run) -> tuple[Indices, Indices]:
    """Rows of the male and of the female prompts of the pairs for training."""
    male, female = run.prompts.pairs()
    seen = run.prompts.is_training[male]
    return male[seen], female[seen]


def vectors(run: Run) -> Float32:
    """Embeddings of the run's prompts, (n_prompts, n_features), unit rows."""
    from probe.text.embeddings import EmbeddingStore

    return EmbeddingStore.open(run.folder / EMBEDDINGS).vectors(run.prompts.prompts)


def read_direction(run: Run) -> tuple[BiasDirection, CalibratedProjection]:
    """Read the fitted direction and projection."""
    from probe.latent.directions import BiasDirection
    from probe.latent.erasure import CalibratedProjection

    arrays, _ = read_tensors(run.folder / DIRECTION, kind="direction")
    direction = BiasDirection(
        arrays["vector"], concept=CONCEPT, encoder=f"{run.config.model}@{run.revision}"
    )
    projection = CalibratedProjection(strength=run.config.fit.strength)
    projection.basis_, projection.shrinkage_ = arrays["basis"], arrays["shrinkage"]
    projection.n_features_in_ = projection.basis_.shape[1]
    return direction, projection


def complete_map(run: Run, corrected: Float32, *, made_from: str) -> None:
    """Put the places of the corrected prompts, rows of (n_prompts, n_features), on the map."""
    from probe.latent.maps import principal_plane

    table, provenance = read_table(run.folder / MAP, kind="map")
    plane = principal_plane(vectors(run), seed=run.config.fit.seed)
    places = plane.place(corrected)
    table = table.assign(corrected_x=places[:, 0], corrected_y=places[:, 1])
    fitted = provenance.made_from.partition("+")[0]
    made = run.provenance("map", f"{fitted}+{made_from}", seed=run.config.fit.seed)
    write_table(run.folder / MAP, table, made)


def stale_map(run: Run, *, completed: str | None) -> str | None:
    """Say why the map is not that of the fit, or not completed by a certain training."""
    path = run.folder / MAP
    if not path.exists():
        return f"{MAP} does not exist yet"
    found, _, trained = read_provenance(path).made_from.partition("+")
    if found != _map_made_from(run) or (completed is not None and trained != completed):
        return f"{MAP} was made with other settings or inputs"
    return None


def _map(
    z: Float32, table: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Place the prompts on two maps, and measure how faithful each is."""
    import numpy as np

    from probe.latent.maps import map_faithfulness, neighbor_map, principal_plane

    columns = ["prompt", "group", "subject", "split", "share_women", "bias_score", "projection"]
    maps = {
        "pca": principal_plane(z, seed=seed).place(z),
        "umap": neighbor_map(z, seed=seed).coordinates,
    }
    placed = table[columns].assign(
        **{f"{m}_{axis}": xy[:, i] for m, xy in maps.items() for i, axis in enumerate("xy")},
        corrected_x=np.nan,
        corrected_y=np.nan,
    )
    resampling = Resampling(seed=seed)
    return placed, {
        m: asdict(map_faithfulness(z, xy, resampling=resampling)) for m, xy in maps.items()
    }
