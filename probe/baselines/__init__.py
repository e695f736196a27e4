"""Published bias mitigation methods, each an `Intervention`, for comparison with MoESD."""

from __future__ import annotations

from probe.baselines import (
    debias_vl,
    explicit_mixing,
    fair_diffusion,
    fair_pca,
    leace,
    lora,
    prompt_intervention,
    steering,
    uce,
)
from probe.baselines.method import Builder

BASELINES: dict[str, Builder] = {
    "prompt-intervention": prompt_intervention.build,
    "explicit-mixing": explicit_mixing.build,
    "fair-diffusion": fair_diffusion.build,
    "uce": uce.build,
    "debias-vl": debias_vl.build,
    "fair-pca": fair_pca.build,
    "leace": leace.build,
    "leace-lookup": leace.build_gated,
    "steering": steering.build,
    "steering-lookup": steering.build_gated,
    "lora": lora.build,
}
"""Every method by its name in tables. Names that end in ``-lookup`` act on open prompts only, see
`probe.baselines.lookup.Lookup`."""

__all__ = ["BASELINES"]
