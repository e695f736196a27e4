"""Shares of the values under each prompt: estimated from the denoiser, against the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from probe.arrays import Counts, Double
from probe.errors import DegenerateDataError
from probe.io.artifacts import read_table
from probe.moesd.router import guidance_law
from probe.run.files import LABELS, SUBJECTS
from probe.run.folder import Run
from probe.run.registry import Answer, register
from probe.run.routing import attributes_of
from probe.run.study import Study, Tables
from probe.stats.notation import bracketed, interval, number
from probe.stats.share_shift import ShareShift, fit_share_shift
from probe.text.attributes import GENDER, cells_of
from probe.text.languages import language_of
from probe.text.lexicon import SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from probe.moesd.mixture.shares import EstimatedShares

_ASKED = ("explained", "sensitivity")  # what the estimate says of itself
_LEAST = 0.005  # an estimated share of 0 has no log-odds
_LEAST_SLOPE = 0.5  # with less, the images hardly follow what is read; our choice


@register
class Mixture(Study):
    """Compare shares estimated from the denoiser, and bias scores, with those in the images.

    The shares are of the corrected attribute's values, or of the cells of several attributes.
    """

    name = "mixture"
    takes = "minutes"
    about = "the shares of each value in the images, estimated from the denoiser without any image"
    requires = ("evaluate",)
    tables = ("latent/mixture.parquet",)
    file = "latent/mixture.json"
    inputs = (SUBJECTS, LABELS)
    reads_settings = ("generate", "evaluate", "train.attributes")

    def unmet(self, run: Run) -> str | None:
        """Count the occupations."""
        n = len(run.lexicon.occupations)
        return f"the lexicon has {n} occupations; needed 3 for a correlation" if n < 3 else None

    def compute(self, run: Run) -> tuple[Tables, Answer]:
        """Return the shares of every occupation, seen and read: a row each value, or the first."""
        from probe.stats.correlation import share_correlation
        from probe.stats.mean import mean_interval
        from probe.stats.proportion import proportion_interval

        attributes, config = attributes_of(run), run.config.generate
        values = [*cells_of(attributes).values]
        jobs, counts = _shown(run)
        found = _estimated(run, jobs["subject"].tolist())
        shares = counts / counts.sum(axis=1, keepdims=True)
        guided = config.measured_guidance() or guidance_law(config.guidance_scale)
        read = guided.apply(found.shares)
        shown = values if len(values) > 2 else values[:1]
        table = _table(jobs, shown, counts, found, read)
        resampling, unit = run.config.study.resampling, "occupations"
        off = np.abs(read - shares).mean(axis=1)
        error = asdict(mean_interval(off, resampling=resampling, unit=unit))
        top = np.sort(shares, axis=1)
        has_one = top[:, -1] > top[:, -2]
        is_right = read.argmax(axis=1) == shares.argmax(axis=1)
        right = asdict(proportion_interval(is_right[has_one], unit=unit))
        correlations = {
            value: asdict(share_correlation(read[:, column], shares[:, column]))
            for column, value in enumerate(shown)
        }
        lines = [
            f"estimated from the denoiser, without an image, the shares of {len(jobs)} occupations "
            "correlate with those in the images at r = "
            + ", ".join(_named(of, value, shown) for value, of in correlations.items())
        ]
        figures: dict[str, Any] = {"correlation": correlations, "error": error, "most": right}
        if [of.name for of in attributes] == [GENDER.name]:
            text = asdict(share_correlation(-jobs["bias_score"].to_numpy(), shares[:, 0]))
            figures["bias_score"] = text
            lines[0] += f"; the text bias score does at {_named(text, '', [])}"
        asked = {name: float(np.median(getattr(found, name))) for name in _ASKED}
        lines += [
            f"they are off by {interval(error)} on average, and the largest is that of the images "
            f"for {interval(right, 2)} of occupations",
            f"explicit prompts explain a median of {number(asked['explained'], 2)} of the "
            "denoiser's neutral predictions (the routing calibrated needs "
            f"{config.min_explained:g}), and their own differ by {number(asked['sensitivity'])} "
            "(root mean square; of noise it is 1)",
        ]
        guidance = fit_guidance(found.shares, counts, jobs["split"].tolist())
        lines += _guidance_lines(guidance, config.guidance_scale, values)
        figures |= {"guidance": guidance, **asked}
        return {"mixture": table}, Answer("\n".join(lines), figures)


def _shown(run: Run) -> tuple[pd.DataFrame, Counts]:
    """Count what the base model's neutral images show, (n_subjects, n_values), by occupation.

    The columns are ``subject, split, bias_score``. Images that show none of the values do not
    count, and occupations without others are left out.
    """
    from probe.run.evaluation.corrected import cells_shown, seen_attributes
    from probe.run.evaluation.evaluators import load_whole_classifier

    subjects, _ = read_table(run.folder / SUBJECTS, kind="subjects")
    labels, _ = read_table(run.folder / LABELS, kind="labels")
    of = labels[(labels["side"] == "base") & (labels["kind"] == "neutral")]
    shown = cells_shown(of, seen_attributes(run, load_whole_classifier(run).attributes))
    counts = np.stack([shown[of["subject"] == one].sum(axis=0) for one in subjects["subject"]])
    is_seen = counts.sum(axis=1) > 0
    jobs = subjects[["subject", "split", "bias_score"]][is_seen].reset_index(drop=True)
    return jobs, counts[is_seen].astype(np.intp)


def _estimated(run: Run, subjects: list[str]) -> EstimatedShares:
    """Ask the denoiser about the prompt of the images, one row a subject."""
    from probe.images.models.lookup import image_model
    from probe.moesd.mixture.counterfactuals import Counterfactuals
    from probe.moesd.mixture.shares import estimate_shares
    from probe.moesd.token import SpecialToken

    encoder = run.load_encoder()
    model = image_model(run.load_pipeline(is_plain=True, encoders=[encoder]))
    split = run.config.generate.scored_on
    prompts = [run.lexicon.neutral_prompt(subject, split) for subject in subjects]
    token = SpecialToken.start(encoder, subjects, language=language_of(run.lexicon))
    words = Counterfactuals(cells_of(attributes_of(run)).words)
    explicit = words.conditions(model, token, prompts)
    return estimate_shares(model, model.conditions(prompts), explicit, seed=run.config.study.seed)


def _table(
    jobs: pd.DataFrame, shown: list[str], counts: Counts, found: EstimatedShares, read: Double
) -> pd.DataFrame:
    import pandas as pd

    from probe.stats.proportion import binomial_interval

    n_images, rows = counts.sum(axis=1), []
    for row, job in enumerate(jobs.to_dict("records")):
        for column, value in enumerate(shown):
            share = binomial_interval(int(counts[row, column]), int(n_images[row]))
            seen = {"share": share.value, "low": share.low, "high": share.high}
            estimated = {"read_plain": found.shares[row, column], "read": read[row, column]}
            asked = {name: getattr(found, name)[row] for name in _ASKED}
            rows.append({**job, "value": value, "n": n_images[row], **seen, **estimated, **asked})
    return pd.DataFrame(rows)


def fit_guidance(plain: Double, counts: Counts, splits: Sequence[str]) -> dict[str, Any]:
    """Fit how guidance shifts the estimated shares; errors are of the last split, left out.

    ``plain`` are the shares without guidance, ``counts`` the images of each value under it, both
    (n_subjects, K). Estimated shares are raised to `_LEAST`. The result is empty if all are equal.
    """
    raised = np.maximum(plain, _LEAST)
    raised = raised / raised.sum(axis=1, keepdims=True)
    shares = counts / counts.sum(axis=1, keepdims=True)
    is_left = np.array(splits) == max(splits, key=SPLITS.index)
    try:
        shift = fit_share_shift(raised[~is_left], counts[~is_left])
    except DegenerateDataError:
        return {}
    shifts = {"fitted": shift, "unchanged": ShareShift()}
    off = {name: np.abs(of.apply(raised[is_left]) - shares[is_left]) for name, of in shifts.items()}
    return {
        "slope": shift.slope,
        "intercepts": list(shift.intercepts[:-1]),
        "n": int((~is_left).sum()),
        "n_images": int(counts[~is_left].sum()),
        "error": {name: float(of.mean()) for name, of in off.items()},
        "n_left": int(is_left.sum()),
    }


def _guidance_lines(
    found: dict[str, Any], guidance_scale: float, values: list[str]
) -> Iterator[str]:
    if not found:
        return
    added = [f"{of:.2f}" for of in found["intercepts"]]
    if len(values) > 2:
        added = [f"{of} for {value}" for of, value in zip(added, values[:-1], strict=True)]
    asked = ",".join(f"{of:.3g}" for of in found["intercepts"])
    advice = (
        f"for calibrated routing, set generate.guidance_slope = {found['slope']:.3g} "
        f'and generate.guidance_intercept = "{asked}"'
        if found["slope"] >= _LEAST_SLOPE
        else "too flat for calibrated routing, which would have to invert it"
    )
    yield (
        f"guidance {guidance_scale:g} multiplies their log-odds by {found['slope']:.2f} and adds "
        f"{', '.join(added)} ({found['n']} occupations, {found['n_images']} images); this is off "
        f"by {found['error']['fitted']:.3f} on {found['n_left']} other occupations, no change by "
        f"{found['error']['unchanged']:.3f}: {advice}"
    )


def _named(found: dict[str, float], value: str, shown: Sequence[str]) -> str:
    text = bracketed(found["r"], found["low"], found["high"])
    return f"{text} ({value})" if len(shown) > 1 else text
