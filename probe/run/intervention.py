"""The intervention of a run's correction, and what it counts in images by the base model."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probe.arrays import Double
from probe.errors import ArtifactError
from probe.images.plan import GenerationPlan, planned_rows
from probe.io.artifacts import read_json, write_json
from probe.io.files import hash_parts
from probe.moesd.router import CALIBRATED, MINIMAL, Router
from probe.run.evaluation import evaluators
from probe.run.evaluation.corrected import cells_shown
from probe.run.folder import Run, stale_files
from probe.run.images import images_line, make_images, selector_sees
from probe.run.routing import attributes_of, router_in_use, router_of
from probe.text.attributes import cells_of

if TYPE_CHECKING:
    from probe.images.intervention import Intervention
    from probe.moesd.model import MoESD

_FOLDER = "images/counted"
_COUNTED = f"{_FOLDER}.json"
_KIND = "counted-images"


def intervention(run: Run, moesd: MoESD, pipeline: Any, prompts: Iterable[str]) -> Intervention:
    """Build the intervention of a correction with the router of a run's settings.

    With the router ``minimal``, images by the base model are made of those of the ``prompts`` that
    open the gate, and counted, once a run.
    """
    router = router_of(run, moesd.router)
    if router.kind == CALIBRATED:
        from probe.images.pipelines import check_family

        instead = "choose bernoulli or stratified"
        check_family(run.model_folder, f"the routing {router.kind}", instead)
    if router.kind == MINIMAL and router.strength > 0:
        opened = [*moesd.opened([*dict.fromkeys(prompts)])]
        router = replace(router, counted=_count(run, pipeline, opened))
    routed = replace(moesd, router=router)
    return routed.intervention(pipeline, guidance_scale=run.config.generate.guidance_scale)


def router_with_counts(run: Run) -> Router:
    """Return the router that the images of a trained run were made with, with all it counted."""
    router = router_in_use(run)
    return replace(router, counted=_seen(_counts(run))) if router.kind == MINIMAL else router


def counted_from(run: Run) -> str:
    """Hash what counted images depend on; empty if the router of a trained run needs none."""
    return _counted_from(run) if router_in_use(run).kind == MINIMAL else ""


def _counted_from(run: Run) -> str:
    config, evaluate = run.config.generate, run.config.evaluate
    return hash_parts(
        "counted",
        run.revision,
        evaluators.evaluators_line(run, "selector"),
        images_line(run.config.generate),
        f"n={config.base_images} seed={config.seed} {run.config.train.attributes}",
        f"{evaluate.attribute} {evaluate.female} {evaluate.male}",
    )


def _counts(run: Run) -> dict[str, list[int]]:
    """Read how many images of each prompt show each cell; none if they are of other settings."""
    path, n_cells = run.folder / _COUNTED, len(cells_of(attributes_of(run)).values)
    if stale_files(run, _counted_from(run), _COUNTED):
        return {}
    found = read_json(path, kind=_KIND)[0].get("prompts")
    if not isinstance(found, dict) or not all(_is_counts(of, n_cells) for of in found.values()):
        raise ArtifactError(f"{path} holds no counts of {n_cells} values; delete it")
    return found


def _is_counts(row: Any, n_cells: int) -> bool:
    is_row = isinstance(row, list) and len(row) == n_cells
    return is_row and all(isinstance(n, int) and n >= 0 for n in row)


def _seen(counts: Mapping[str, list[int]]) -> dict[str, Double]:
    """Leave out prompts none of whose images shows a cell."""
    return {prompt: np.array(of, float) for prompt, of in counts.items() if any(of)}


def _count(run: Run, pipeline: Any, prompts: list[str]) -> dict[str, Double]:
    """Count what the base model shows under prompts, of which the run has counted some."""
    counts = _counts(run)
    if new := [prompt for prompt in prompts if prompt not in counts]:
        counts |= _count_new(run, pipeline, new)
        config, made_from = run.config.generate, _counted_from(run)
        made = run.provenance(_KIND, made_from, seed=config.seed)
        write_json(run.folder / _COUNTED, {"n": config.base_images, "prompts": counts}, made)
        shutil.rmtree(run.folder / _FOLDER, ignore_errors=True)
    return _seen({prompt: counts[prompt] for prompt in prompts})


def _count_new(run: Run, pipeline: Any, prompts: list[str]) -> dict[str, list[int]]:
    config, folder = run.config.generate, run.folder / _FOLDER
    n, seed = config.base_images, f"counted {config.seed}"
    rows = [row for prompt in prompts for row in planned_rows("base", prompt, [prompt], n, seed)]
    label = "images by the base model to count"
    images = make_images(run, pipeline, GenerationPlan(pd.DataFrame(rows)), folder, label=label)
    seen, attributes = selector_sees(run, [folder / name for name in images["file_name"]])
    shown = cells_shown(seen, attributes).reshape(len(prompts), n, -1).sum(axis=1)
    return dict(zip(prompts, shown.tolist(), strict=True))
