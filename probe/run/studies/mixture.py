"""The share of women under each prompt: estimated from the denoiser, compared with the images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.errors import DegenerateDataError
from probe.moesd.router import guidance_law
from probe.run.files import SHARES, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.study import Study, Tables, base_shares
from probe.stats.notation import bracketed, interval, number
from probe.stats.share_shift import ShareShift, fit_share_shift
from probe.text.languages import language_of
from probe.text.lexicon import SPLITS

if TYPE_CHECKING:
    import pandas as pd

_LEAST = 0.005  # an estimated share of 0 has no log-odds


@register
class Mixture(Study):
    """Compare shares estimated from the denoiser, and bias scores, with those in the images."""

    name = "mixture"
    takes = "minutes"
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

    def compute(self, run: Run) -> tuple[Tables, Answer]:
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
        resampling, unit = run.config.study.resampling, "occupations"
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
        asked = table[["explained", "sensitivity"]].median().to_dict()
        lines.append(
            f"explicit prompts explain a median of {number(asked['explained'], 2)} of the "
            "denoiser's neutral predictions (the routings calibrated and minimal need "
            f"{run.config.generate.min_explained:g}), and their own differ by "
            f"{number(asked['sensitivity'])} (root mean square; of noise it is 1)"
        )
        guidance = fit_guidance(table)
        lines += _guidance_lines(guidance, run.config.generate.guidance_scale)
        correlation = {"read": r, "bias_score": r_text}
        figures: dict[str, Any] = {"correlation": correlation, "error": error, "right_side": right}
        figures |= {"guidance": guidance, **asked}
        return {"mixture": table}, Answer("\n".join(lines), figures)


def _estimated(run: Run, subjects: list[str]) -> pd.DataFrame:
    """Ask the denoiser about the prompt of the images, one row a subject."""
    import pandas as pd

    from probe.images.models.lookup import image_model
    from probe.moesd.mixture.shares import estimate_shares
    from probe.moesd.token import SpecialToken
    from probe.run.routing import gender_words

    encoder = run.load_encoder()
    model = image_model(run.load_pipeline(is_plain=True, encoders=[encoder]))
    split = run.config.generate.scored_on
    prompts = [run.lexicon.neutral_prompt(subject, split) for subject in subjects]
    token = SpecialToken.start(encoder, subjects, language=language_of(run.lexicon))
    explicit = gender_words(run.lexicon).conditions(model, token, prompts)
    found = estimate_shares(model, model.conditions(prompts), explicit, seed=run.config.study.seed)
    config = run.config.generate
    shift = config.measured_guidance() or guidance_law(config.guidance_scale)
    drawn = shift.apply(found.shares)
    shares = {"read_plain": found.shares[:, 0], "read": drawn[:, 0]}
    return pd.DataFrame({**shares, "explained": found.explained, "sensitivity": found.sensitivity})


def fit_guidance(table: pd.DataFrame) -> dict[str, Any]:
    """Fit how guidance shifts the estimated shares; errors are of the last split, left out.

    Estimated shares of 0 and 1 are moved by `_LEAST`. The result is empty if all are equal.
    """
    plain = np.clip(table["read_plain"].to_numpy(), _LEAST, 1 - _LEAST)
    shares, share = np.stack([plain, 1 - plain], axis=1), table["share"].to_numpy()
    n_images = table["n"].to_numpy()
    women = np.rint(share * n_images)
    counts = np.stack([women, n_images - women], axis=1).astype(np.intp)
    splits = table["split"].to_numpy(dtype=str)
    is_left = splits == max(splits, key=SPLITS.index)
    try:
        shift = fit_share_shift(shares[~is_left], counts[~is_left])
    except DegenerateDataError:
        return {}
    shifts = {"fitted": shift, "unchanged": ShareShift()}
    off = {name: of.apply(shares[is_left])[:, 0] - share[is_left] for name, of in shifts.items()}
    return {
        "slope": shift.slope,
        "intercept": shift.intercepts[0],
        "n": int((~is_left).sum()),
        "n_images": int(n_images[~is_left].sum()),
        "error": {name: float(np.abs(of).mean()) for name, of in off.items()},
        "n_left": int(is_left.sum()),
    }


def _guidance_lines(found: dict[str, Any], guidance_scale: float) -> list[str]:
    if not found:
        return []
    return [
        f"guidance {guidance_scale:g} multiplies their log-odds by {found['slope']:.2f} and adds "
        f"{found['intercept']:.2f} ({found['n']} occupations, {found['n_images']} images); this "
        f"is off by {found['error']['fitted']:.3f} on {found['n_left']} other occupations, no "
        f"change by {found['error']['unchanged']:.3f}: for calibrated and minimal routing, set "
        f"generate.guidance_slope = {found['slope']:.3g} and generate.guidance_intercept = "
        f"{found['intercept']:.3g}"
    ]
