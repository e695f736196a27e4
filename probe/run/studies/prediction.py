"""The share of women in images, predicted from the text and compared with the images."""

from dataclasses import asdict

from probe.io.artifacts import read_table
from probe.run.files import SHARES, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables, base_shares, counts_of
from probe.stats.notation import bracketed, percent


@register
class Prediction(Study):
    """Learn from the images of the training occupations; test on those never seen."""

    name = "prediction"
    takes = "2 s"
    about = "the share of women in the images, predicted from the bias score of the text"
    requires = ("evaluate",)
    tables = ("latent/prediction.parquet",)
    file = "latent/prediction.json"
    inputs = (SUBJECTS, SHARES)
    reads_settings = ("evaluate",)

    def unmet(self, run: Run) -> str | None:
        """Count the occupations."""
        from probe.latent.prediction import MIN_CALIBRATED, MIN_LEARNT

        subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
        n_train, n_test = (int((subjects["split"] == of).sum()) for of in ("train", "test"))
        if n_train >= MIN_LEARNT and n_test >= MIN_CALIBRATED:
            return None
        return (
            f"there are {n_train} occupations for training and {n_test} for testing; needed "
            f"{MIN_LEARNT} and {MIN_CALIBRATED}"
        )

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the prediction for every occupation."""
        from probe.latent.prediction import SharePredictor

        table = base_shares(run).drop(columns=["low", "high"])
        predictor = SharePredictor(seed=run.config.study.seed).fit(*counts_of(table, "train"))
        found = predictor.predict(table["bias_score"].to_numpy(), n_images=table["n"].to_numpy())
        table = table.assign(predicted=found.share, low=found.low, high=found.high)
        tested = predictor.calibration(*counts_of(table, "test"))
        coverage = bracketed(tested.coverage, tested.coverage_low, tested.coverage_high, digits=2)
        lines = [
            f"on {tested.n} occupations never seen the text explains "
            f"{bracketed(tested.r2, tested.r2_low, tested.r2_high)} of the variance of the shares "
            "in the images (R2)",
            f"their shares lie in the {percent(tested.confidence, 0)} prediction interval in "
            f"{coverage} of cases; its mean width is {tested.width:.2f}",
        ]
        low, high = predictor.slope_interval_
        figures = {
            "calibration": asdict(tested),
            "slope": {"value": predictor.slope_, "low": low, "high": high},
            "n_train": predictor.n_subjects_,
        }
        return {"prediction": table}, Answer("\n".join(lines), figures)
