"""Which text encoder of a model carries the bias, and whose bias score predicts its images best."""

from collections.abc import Iterator
from typing import Any

from probe.errors import DataError
from probe.io.artifacts import hash_parts
from probe.run.files import EMBEDDED, SHARES
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables, base_shares
from probe.stats.notation import interval
from probe.text.checkpoints import text_encoders


@register
class Encoders(Study):
    """Fit and trace every text encoder of the model on the prompts of the run."""

    name = "encoders"
    takes = "1 min"
    about = "of several text encoders: where each carries the bias, and which predicts the images"
    tables = ("latent/encoders.parquet",)
    file = "latent/encoders.json"
    is_english = True
    inputs = EMBEDDED
    reads_settings = ("fit", "evaluate")

    def unmet(self, run: Run) -> str | None:
        """Count the encoders."""
        n = 1 if run.config.is_imported else len(text_encoders(run.model_folder))
        return super().unmet(run) or (None if n > 1 else "its model has one text encoder")

    def made_from(self, run: Run) -> str:
        """Hash the images' labels too, where there are any."""
        shares = run.hashes(SHARES) if (run.folder / SHARES).is_file() else ""
        return hash_parts(super().made_from(run), shares)

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return one row an encoder and measure.

        ``gap`` is the largest of `probe.latent.tracing.trace` at other words than the gendered one;
        ``correlation`` that of the bias scores with the labour shares; ``r2`` the share of the
        variance of the images that the bias score explains, on validation occupations.
        """
        import pandas as pd

        rows, lines = list[dict[str, Any]](), []
        for slot in text_encoders(run.model_folder):
            found = [{"encoder": slot, **row} for row in _measures(run, slot)]
            gap, r = found[:2]
            lines.append(
                f"{slot}: male and female prompts differ most after layer {gap['layer']}, position "
                f"{gap['position']} (gap {interval(gap)}); bias score against women's share of "
                f"{r['n']} occupations: r = {interval(r)}"
            )
            rows += found
        explained = [row for row in rows if row["measure"] == "r2"]
        best = max(explained, key=lambda row: float(row["value"]), default=None)
        lines.append(
            "whose bias score predicts the images best is not known without labelled images of "
            "enough training and validation occupations: run `evaluate`"
            if best is None
            else f"the bias score of {best['encoder']} explains most of the shares in images of "
            f"{best['n']} validation occupations: R2 {interval(best)}; a new run takes it with "
            f"`--encoder {best['encoder']}`"
        )
        figures = {"encoders": rows, "best": best and best["encoder"]}
        return {"encoders": pd.DataFrame(rows)}, Answer("\n".join(lines), figures)


def _measures(run: Run, slot: str) -> Iterator[dict[str, Any]]:
    from probe.latent.tracing import trace
    from probe.run.encoder_choice import explained_shares, scored_subjects
    from probe.stats.correlation import share_correlation
    from probe.text.encoder import TextEncoder

    encoder = TextEncoder.load(run.config.model, encoder=slot, device=run.device)
    resampling, prompts = run.config.study.resampling, run.prompts.measured
    # Not at the person: there, the gendered word itself differs.
    where: dict[str, Any] = {"sites": ["residual"], "positions": ["subject", "end"]}
    table = trace(encoder, prompts, **where, resampling=resampling)
    gaps = table[table["measure"] == "gap"].drop(columns=["site", "control"])
    yield gaps.loc[gaps["value"].idxmax()].to_dict()
    subjects = scored_subjects(run, encoder.embed(run.prompts.prompts))
    r = share_correlation(subjects["bias_score"].to_numpy(), subjects["share_women"].to_numpy())
    yield {"measure": "correlation", "value": r.r, "low": r.low, "high": r.high, "n": r.n}
    if not (run.folder / SHARES).is_file():
        return
    try:
        found = explained_shares(run, subjects, base_shares(run))
    except DataError:  # too few occupations, or all images alike
        return
    limits = {"low": found.r2_low, "high": found.r2_high, "n": found.n}
    yield {"measure": "r2", "value": found.r2, **limits}
