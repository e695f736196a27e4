"""The share of women under each prompt: read off the denoiser, and compared with the pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.run.files import SHARES, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.study import Study, StudyResult, Tables, base_shares
from probe.stats.notation import bracketed
from probe.text.templates import fill

if TYPE_CHECKING:
    import pandas as pd


@register
class Mixture(Study):
    """Compare shares read off the denoiser, and bias scores, with those in the pictures."""

    name = "mixture"
    about = "the share of women in the pictures, read off the denoiser without making any"
    requires = ("evaluate",)
    tables = ("latent/mixture.parquet",)
    file = "latent/mixture.json"
    inputs = (SUBJECTS, SHARES)
    reads_settings = ("generate", "evaluate")

    def unmet(self, run: Run) -> str | None:
        """Count the occupations."""
        n = len(run.lexicon.occupations)
        return f"the lexicon has {n} occupations; needed 3 for a correlation" if n < 3 else None

    def compute(self, run: Run) -> tuple[Tables, StudyResult]:
        """Return the shares of every occupation, seen and read."""
        table = base_shares(run)
        read = _read(run, table["subject"].tolist())
        table = table.reset_index(drop=True).join(read)
        return {"mixture": table}, _result(table, run)


def _read(run: Run, subjects: list[str]) -> pd.DataFrame:
    """Ask the denoiser about the prompt that the pictures answer, one row a subject."""
    import pandas as pd

    from probe.moesd.mixture.shares import estimate_shares, guided
    from probe.moesd.token import SpecialToken
    from probe.run.routing import counterfactuals_of

    encoder, pipeline = run.load_encoder(), run.load_pipeline()
    prompts = [fill(run.lexicon.neutral_templates[0], subject=subject) for subject in subjects]
    token, counterfactuals = SpecialToken.start(encoder, subjects), counterfactuals_of(run.lexicon)
    found = estimate_shares(
        pipeline,
        encoder.states(prompts),
        counterfactuals.states(encoder, token, prompts),
        seed=run.config.probe.seed,
    )
    drawn = guided(found.shares, run.config.generate.guidance_scale)
    return pd.DataFrame(
        {
            "read_plain": found.shares[:, 0],
            "read": drawn[:, 0],
            "explained": found.explained,
            "sensitivity": found.sensitivity,
        }
    )


def _result(table: pd.DataFrame, run: Run) -> StudyResult:
    from probe.stats.correlation import share_correlation
    from probe.stats.mean import mean_interval
    from probe.stats.proportion import proportion_interval

    config = run.config.probe
    share, read = table["share"].to_numpy(), table["read"].to_numpy()
    correlations: dict[str, dict[str, Any]] = {
        name: asdict(share_correlation(values, share))
        for name, values in (("read", read), ("bias_score", -table["bias_score"].to_numpy()))
    }
    off = mean_interval(np.abs(read - share), resampling=config.resampling, unit="occupations")
    is_told = share != 0.5
    right = proportion_interval(((read > 0.5) == (share > 0.5))[is_told], unit="occupations")
    r, bias_score = ([of[key] for key in ("r", "low", "high")] for of in correlations.values())
    n = len(table)
    lines = [
        f"read off the denoiser, without a picture, the shares of {n} occupations correlate with "
        f"those in the pictures at r = {bracketed(*r)}; the text bias score does at "
        f"{bracketed(*bias_score)}",
        f"they are off by {bracketed(off.value, off.low, off.high)} on average, and on the right "
        "side of one half for "
        f"{bracketed(right.value, right.low, right.high, digits=2)} of occupations",
    ]
    figures = {
        "correlation": correlations,
        "error": asdict(off),
        "right_side": asdict(right),
    }
    return StudyResult(lines, figures)
