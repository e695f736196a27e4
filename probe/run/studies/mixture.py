"""The share of women under each prompt: estimated from the denoiser, compared with the images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from probe.run.files import SHARES, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import register
from probe.run.study import Study, StudyResult, Tables, base_shares
from probe.stats.notation import bracketed, interval
from probe.text.templates import fill

if TYPE_CHECKING:
    import pandas as pd


@register
class Mixture(Study):
    """Compare shares estimated from the denoiser, and bias scores, with those in the images."""

    name = "mixture"
    about = "the share of women in the images, estimated from the denoiser without generating any"
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
        from probe.stats.correlation import share_correlation
        from probe.stats.mean import mean_interval
        from probe.stats.proportion import proportion_interval

        table = base_shares(run).reset_index(drop=True)
        table = table.join(_estimated(run, table["subject"].tolist()))
        share, read = table["share"].to_numpy(), table["read"].to_numpy()
        r, r_text = (
            asdict(share_correlation(of, share)) for of in (read, -table["bias_score"].to_numpy())
        )
        resampling, unit = run.config.probe.resampling, "occupations"
        error = asdict(mean_interval(np.abs(read - share), resampling=resampling, unit=unit))
        is_right = (read > 0.5) == (share > 0.5)
        right = asdict(proportion_interval(is_right[share != 0.5], unit=unit))
        limits = (bracketed(of["r"], of["low"], of["high"]) for of in (r, r_text))
        lines = [
            f"estimated from the denoiser, without an image, the shares of {len(table)} "
            "occupations correlate with those in the images at r = "
            + "; the text bias score does at ".join(limits),
            f"they are off by {interval(error)} on average, and on the right side of one half for "
            f"{interval(right, 2)} of occupations",
        ]
        correlation = {"read": r, "bias_score": r_text}
        figures = {"correlation": correlation, "error": error, "right_side": right}
        return {"mixture": table}, StudyResult(lines, figures)


def _estimated(run: Run, subjects: list[str]) -> pd.DataFrame:
    """Ask the denoiser about the prompt of the images, one row a subject."""
    import pandas as pd

    from probe.moesd.mixture.shares import estimate_shares, guided
    from probe.moesd.token import SpecialToken
    from probe.run.routing import counterfactuals_of

    encoder, pipeline = run.load_encoder(), run.load_pipeline()
    prompts = [fill(run.lexicon.neutral_templates[0], subject=subject) for subject in subjects]
    token, counterfactuals = SpecialToken.start(encoder, subjects), counterfactuals_of(run.lexicon)
    explicit = counterfactuals.states(encoder, token, prompts)
    seed = run.config.probe.seed
    found = estimate_shares(pipeline, encoder.states(prompts), explicit, seed=seed)
    drawn = guided(found.shares, run.config.generate.guidance_scale)
    shares = {"read_plain": found.shares[:, 0], "read": drawn[:, 0]}
    return pd.DataFrame({**shares, "explained": found.explained, "sensitivity": found.sensitivity})
