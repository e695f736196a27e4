"""The share of women in pictures, foretold from the text alone and held against the pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from probe.io.artifacts import read_table, write_table
from probe.run.folder import Run, stale_files
from probe.run.stages.evaluate import FILES as EVALUATION
from probe.run.stages.evaluate import SHARES
from probe.run.stages.fit import SUBJECTS
from probe.run.studies.study import Study, StudyResult, bracketed

if TYPE_CHECKING:
    from probe.latent.prediction import SharePredictor

TABLE = "latent/prediction.parquet"
RESULT = "latent/prediction.json"


class Prediction(Study):
    """Learn from the pictures of the training occupations; test on the held-out ones."""

    name = "prediction"
    before = ""
    file = RESULT
    inputs = EVALUATION

    def stale(self, run: Run) -> str | None:
        """Look at both files."""
        return stale_files(run, self.made_from(run), TABLE, RESULT)

    def lacks(self, run: Run) -> str | None:
        """Count the occupations."""
        from probe.latent.prediction.predictor import MIN_CALIBRATED, MIN_LEARNT

        n_held_out = sum(job.held_out for job in run.lexicon.occupations)
        n_trained = len(run.lexicon.occupations) - n_held_out
        if n_trained >= MIN_LEARNT and n_held_out >= MIN_CALIBRATED:
            return None
        return (
            f"the lexicon has {n_trained} training and {n_held_out} held-out occupations; needed "
            f"{MIN_LEARNT} and {MIN_CALIBRATED}"
        )

    def make(self, run: Run) -> None:
        """Write the prediction for every occupation, and its calibration."""
        from probe.latent.prediction import SharePredictor

        made_from = self.made_from(run)
        subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
        shares, _ = read_table(run.folder / SHARES, kind="shares")
        config = run.config.evaluate
        seen = shares[
            (shares["side"] == "base")
            & (shares["attribute"] == config.attribute)
            & (shares["value"] == config.female)
        ].set_index("subject")
        table = subjects[["subject", "split", "share_women", "bias_score"]].join(
            seen[["n", "share"]], on="subject", how="inner"
        )
        table["n_women"] = (table["share"] * table["n"]).round().astype(int)
        known = table[table["split"] == "trained"]
        counts = ("bias_score", "n_women", "n")
        predictor = SharePredictor(seed=run.config.probe.seed).fit(
            *(known[name].to_numpy() for name in counts)
        )
        missing = table[table["split"] == "held_out"]
        calibration = predictor.calibration(*(missing[name].to_numpy() for name in counts))
        found = predictor.predict(table["bias_score"].to_numpy(), n_images=table["n"].to_numpy())
        table = table.assign(predicted=found.share, low=found.low, high=found.high)
        write_table(run.folder / TABLE, table, run.provenance("prediction", made_from))
        self.keep(run, _result(asdict(calibration), predictor))


def _result(calibration: dict[str, float], predictor: SharePredictor) -> StudyResult:
    r2, low, high = (calibration[name] for name in ("r2", "r2_low", "r2_high"))
    ends = (calibration[name] for name in ("coverage", "coverage_low", "coverage_high"))
    slope = {"value": predictor.slope_, "low": predictor.slope_interval_[0]}
    slope["high"] = predictor.slope_interval_[1]
    lines = [
        f"on {calibration['n']} held-out occupations the text explains {bracketed(r2, low, high)} "
        "of the variance of the shares in the pictures (R2)",
        f"their shares lie in the {calibration['confidence']:.0%} prediction interval in "
        f"{bracketed(*ends, digits=2)} of cases; its mean width is {calibration['width']:.2f}",
    ]
    figures = {"calibration": calibration, "slope": slope, "n_trained": predictor.n_subjects_}
    return StudyResult(lines, figures)
