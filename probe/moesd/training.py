"""Train token and experts: fit the gate, then minimise one objective after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.arrays import Float32
from probe.errors import DataError
from probe.io.progress import Progress
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.config import TrainConfig
from probe.moesd.examples import Examples
from probe.moesd.experts import Experts
from probe.moesd.gate import CLASSES, Gate, fit_gate, true_classes
from probe.moesd.loop.checkpoint import Checkpoint
from probe.moesd.loop.loop import Loop
from probe.moesd.loop.steps import Objective
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.mixture.distillation import MixturePredictions, MixtureStates
from probe.moesd.mixture.objectives import CounterfactualPredictions, CounterfactualStates
from probe.moesd.model import MoESD
from probe.moesd.objectives import DiffusionObjective, LatentObjective
from probe.moesd.token import SpecialToken
from probe.moesd.unet.experts import UNetExperts
from probe.text.encoder import TextEncoder
from probe.text.prompts import PromptSet

_ONE_IN = 5


def train_moesd(
    encoder: TextEncoder,
    prompts: PromptSet,
    vectors: Float32,
    *,
    direction: BiasDirection,
    projection: CalibratedProjection,
    config: TrainConfig | None = None,
    examples: Path | None = None,
    pipeline: Any = None,
    counterfactuals: Counterfactuals | None = None,
    gate: Gate | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> MoESD:
    """Fit the gate, then train token and experts; the base model stays frozen.

    Parameters
    ----------
    prompts : PromptSet
        Held-out occupations among them are used for nothing.
    vectors : ndarray of shape (n_prompts, n_features)
        Their pooled states, L2-normalised.
    examples : Path, optional
        An imagefolder: ``metadata.jsonl`` with ``file_name``, ``prompt``, ``subject``,
        ``value``, and ``said`` where the prompt that a picture was made from is known.
        Needed by the diffusion objective, balanced by ``value`` within each subject.
    pipeline : StableDiffusionPipeline, optional
        The image model; needed by every objective but the latent one.
    counterfactuals : Counterfactuals, optional
        The words that say each value, for the objectives ``counterfactuals`` and ``mixture``.
    gate : Gate, optional
        What `fit_gate` gave for the same encoder, prompts and settings, if it has been asked.
    checkpoint : Checkpoint, optional
        Where the training keeps its state, to go on from if it is stopped.
    progress : callable, optional
        Called with (steps done, steps in all).

    Raises
    ------
    ValueError
        If the objective needs pictures and a pipeline and they are not given.
    DataError
        If a class of the gate has no training prompt, or the loss is not finite.
    ArtifactError
        If the state that is to be gone on from is of other settings.
    MemoryLimitError
        If memory does not suffice.
    """
    config = config or TrainConfig()
    if config.needs_pictures and (examples is None or pipeline is None):
        raise ValueError(
            f"the objective {config.objective!r} needs `examples` and `pipeline`; give both, or "
            "choose objective 'latent'"
        )
    if config.needs_image_model and pipeline is None:
        raise ValueError(f"the objective {config.objective!r} needs `pipeline`; give one")
    torch.manual_seed(config.seed)
    if gate is None:
        gate = fit_gate(
            encoder, prompts, vectors, direction=direction, projection=projection, config=config
        )
    table = prompts.table
    subjects = tuple(dict.fromkeys(table["subject"]))
    moesd = MoESD(
        encoder=encoder,
        token=SpecialToken.start(encoder, subjects, stands=config.token_place),
        gate=gate,
        experts=Experts(encoder.n_features, width=config.width, style=config.style).to(
            encoder.device
        ),
        unet_experts=_unet_experts(pipeline.unet, config) if config.has_unet else None,
    )
    moesd.experts.requires_grad_(config.has_text)
    is_training = ((table["split"] == "trained") & (table["group"] == "neutral")).to_numpy()
    truth = true_classes(prompts, gate.bias_score(vectors), neutral_below=gate.neutral_below)
    rows = np.flatnonzero(is_training & np.isin(truth, CLASSES[1:3]))
    skewed = table["prompt"].iloc[rows].tolist()
    if moesd.unet_experts is not None:
        moesd.unet_experts.set_levels(np.abs(gate.bias_score(vectors[rows])))
    subjects_of = table["subject"].iloc[rows].tolist()
    held = hold_out(subjects_of, config)

    def latent() -> Objective:
        return LatentObjective(moesd, skewed, vectors[rows], held=held)

    def diffusion() -> Objective:
        return DiffusionObjective(
            moesd,
            skewed,
            subjects_of,
            Examples.read(Path(str(examples)), limit=config.n_examples, seed=config.seed),
            pipeline,
            batch_size=config.batch_size,
            seed=config.seed,
            held=held,
        )

    persons, words = table["prompt"][is_training].tolist(), counterfactuals or Counterfactuals()

    def counterfactual_states() -> Objective:
        return CounterfactualStates(moesd, persons, words)

    def mixture_states() -> Objective:
        return MixtureStates(moesd, persons, words, pipeline, seed=config.seed)

    def predictions(of: type[CounterfactualPredictions] | type[MixturePredictions]) -> Objective:
        return of(
            moesd,
            persons,
            words,
            pipeline,
            n_prompts=config.n_examples,
            batch_size=config.batch_size,
            seed=config.seed,
        )

    first, second = config.latent_steps, config.diffusion_steps
    roads: dict[str, list[tuple[Callable[[], Objective], int]]] = {
        "latent": [(latent, first)],
        "diffusion": [(diffusion, second)],
        "both": [(latent, first), (diffusion, second)],
        "counterfactual": [
            (counterfactual_states, first),
            (partial(predictions, CounterfactualPredictions), second),
        ],
        "mixture": [(mixture_states, first), (partial(predictions, MixturePredictions), second)],
    }
    road = roads[config.objective]
    training = Loop(
        moesd.weights(),
        config,
        n_steps=sum(n_steps for _, n_steps in road),
        checkpoint=checkpoint,
        progress=progress,
    )
    with _recomputing(pipeline if config.checkpointing else None):
        for make, n_steps in road:
            training.run(make, n_steps)
    training.finish()
    moesd.experts.eval().requires_grad_(False)
    if moesd.unet_experts is not None:
        moesd.unet_experts.eval().requires_grad_(False)
    moesd.token.vector.requires_grad_(False)
    return moesd


def _unet_experts(unet: Any, config: TrainConfig) -> UNetExperts:
    return UNetExperts.start(
        unet,
        width=config.unet_width,
        n_experts=config.n_experts,
        style=config.style,
        placement=config.placement,
    )


def hold_out(subjects: Sequence[str], config: TrainConfig) -> list[bool] | None:
    """Choose the prompts that tell when to stop: those of every fifth training occupation.

    Parameters
    ----------
    subjects : sequence of str
        The occupation of each training prompt; none of them is one of the test's.

    Returns
    -------
    list of bool, or None without early stopping

    Raises
    ------
    DataError
        If there are not two occupations.
    """
    if not config.patience:
        return None
    known = list(dict.fromkeys(subjects))
    if len(known) < 2:
        raise DataError(
            f"early stopping leaves training occupations out but there is only {known}; needed "
            "two or more: use a larger lexicon, or set patience to 0"
        )
    left_out = set(known[::_ONE_IN])
    return [subject in left_out for subject in subjects]


@contextmanager
def _recomputing(pipeline: Any) -> Iterator[None]:
    """Have the U-Net compute again what the gradient needs, while it is trained through."""
    if pipeline is None:
        yield
        return
    pipeline.unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        pipeline.unet.disable_gradient_checkpointing()


__all__ = ["Gate", "MoESD", "TrainConfig", "train_moesd"]
