"""Make the pictures of a plan with the settings of a run: the one way in which a run makes any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.images.intervention import Intervention
from probe.images.plan import GenerationPlan
from probe.run.folder import Run

if TYPE_CHECKING:
    import pandas as pd
    import torch


def draw_pictures(
    run: Run,
    pipeline: Any,
    plan: GenerationPlan,
    folder: Path,
    *,
    intervention: Intervention | None = None,
    reuse: Path | Sequence[Path] | None = None,
    known: dict[str, torch.Tensor] | None = None,
    config: Any = None,
    label: str = "",
) -> pd.DataFrame:
    """Make pictures; those that are there are not made again.

    Parameters
    ----------
    pipeline, plan, folder, intervention, reuse, known
        As for `probe.images.generation.generate`, which says what is returned.
    config : GenerateConfig, optional
        Guidance, steps and batch size, if not those of the run.
    label : str
        What is being done, for the run's progress; nobody is label if empty.
    """
    from probe.images.generation import generate

    config = run.config.generate if config is None else config
    return generate(
        pipeline,
        plan,
        folder,
        guidance_scale=config.guidance_scale,
        n_steps=config.n_steps,
        batch_size=config.batch_size or None,
        revision=run.revision,
        intervention=intervention,
        reuse=reuse,
        known=known,
        progress=run.progress_on(label) if label else None,
    )
