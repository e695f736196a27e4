"""Train a correction: fit the gate, then minimise one objective after another."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.arrays import Float32
from probe.images.models.lookup import image_model
from probe.io.progress import Progress
from probe.latent.directions import BiasDirection
from probe.latent.erasure import CalibratedProjection
from probe.moesd.checkpoint import Checkpoint
from probe.moesd.config import TrainConfig
from probe.moesd.correction import EncoderExperts
from probe.moesd.examples import Examples
from probe.moesd.experts import Experts, expert_names, with_cells
from probe.moesd.gate import CLASSES, Gate, fit_gate, true_classes
from probe.moesd.loop import Loop, Objective
from probe.moesd.mixture.counterfactuals import Counterfactuals
from probe.moesd.model import MoESD
from probe.moesd.objectives.diffusion import DiffusionObjective, NoiseObjective
from probe.moesd.objectives.latent import LatentObjective
from probe.moesd.objectives.shown import ShownValues, Teacher
from probe.moesd.objectives.states import CounterfactualStates, leaves_out_positions
from probe.moesd.router import Router
from probe.moesd.targets import Target
from probe.moesd.token import SpecialToken
from probe.moesd.unet_experts import UNetExperts
from probe.text.attributes import GENDER, Attribute, cells_of
from probe.text.encoder import TextEncoder
from probe.text.languages import Language
from probe.text.prompts import PromptSet

_OF_TAUGHT_CELLS = 0.9
"""How far experts of cells go, of where a classifier brought them. All the way, they lose more of
the occupations that they have not met (docs/attributes.md); our choice."""


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
    gate: Gate | None = None,
    others: Sequence[TextEncoder] = (),
    attributes: tuple[Attribute, ...] = (GENDER,),
    language: Language | None = None,
    teacher: Teacher | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> MoESD:
    """Fit the gate, then train token and experts; the base model stays frozen.

    Parameters
    ----------
    prompts : PromptSet
        Those with `PromptSet.is_training` are used.
    vectors : ndarray of shape (n_prompts, n_features)
        Their pooled states, L2-normalised.
    examples : Path, optional
        An imagefolder for the objectives on images: ``metadata.jsonl`` with ``file_name``,
        ``prompt``, ``subject``, ``value``, and ``source_prompt`` where the prompt that an image was
        made from is known.
    pipeline : DiffusionPipeline, optional
        The image model; needed by every objective but those of `probe.moesd.config.TEXT_ONLY`.
    gate : Gate, optional
        A gate that `fit_gate` returned for the same encoder, prompts and settings.
    others : sequence of TextEncoder
        The model's other text encoders that are corrected too, each apart, by the same objective.
    attributes : tuple of Attribute
        What is corrected; other than gender alone needs the objective ``counterfactual``. Their
        words are those of the counterfactuals and of the routers that ask the denoiser for shares.
    language : Language, optional
        Language of the prompts, if it is not English: no English list or rule is used.
    teacher : Teacher, optional
        A classifier that then teaches the experts to show their values, by images of `pipeline`.
    checkpoint : Checkpoint, optional
        Where to store the training state, to resume an interrupted training; remove it once the
        correction is saved.
    """
    config = config or TrainConfig()
    if config.needs_pictures and (examples is None or pipeline is None):
        raise ValueError(
            f"the objective {config.objective!r} needs `examples` and `pipeline`; give both, or "
            "choose objective 'latent'"
        )
    torch.manual_seed(config.seed)
    if gate is None:
        axes: dict[str, Any] = {"direction": direction, "projection": projection}
        is_english = language is None
        gate = fit_gate(encoder, prompts, vectors, **axes, config=config, is_english=is_english)
    gate = replace(gate, attributes=attributes)
    moesd = _untrained(encoder, prompts, gate, pipeline, config, language)
    started = tuple(map(moesd.start_on, others))
    moesd = replace(moesd, others=started, taught=teacher is not None)

    objectives = _objectives(moesd, prompts, vectors, config, examples, pipeline, teacher)
    loop = Loop(
        moesd.weights(),
        config,
        n_steps=sum(n_steps for _, n_steps in objectives),
        checkpoint=checkpoint,
        progress=progress,
    )
    with ExitStack() as stack:
        if config.checkpointing and pipeline is not None:
            denoiser = image_model(pipeline).network
            denoiser.enable_gradient_checkpointing()
            stack.callback(denoiser.disable_gradient_checkpointing)
        for make, n_steps in objectives:
            loop.run(make, n_steps)
    if moesd.taught and moesd.has_cells:
        for of in moesd.parts:
            of.experts.scale(_OF_TAUGHT_CELLS, expert_names([cells_of(attributes)]))
    for module in filter(None, (moesd.unet_experts, *(of.experts for of in moesd.parts))):
        module.eval().requires_grad_(False)
    for of in moesd.parts:
        of.token.vector.requires_grad_(False)
    return moesd


def _untrained(
    encoder: TextEncoder,
    prompts: PromptSet,
    gate: Gate,
    pipeline: Any,
    config: TrainConfig,
    language: Language | None,
) -> MoESD:
    training = prompts.take(prompts.is_training).select(group="neutral").table
    subjects = training.drop_duplicates("subject")["subject" if language is None else "prompt"]
    where: dict[str, Any] = {"stands": config.token_place, "unlisted": prompts.nouns}
    token = SpecialToken.start(encoder, subjects, **where, language=language)
    names = expert_names(with_cells(gate.attributes, has_cells=config.cells))
    experts = Experts(encoder.n_features, width=config.width, style=config.style, names=names)
    unet_experts = None
    if config.has_unet:
        unet_experts = UNetExperts.start(
            image_model(pipeline).network,
            width=config.unet_width,
            n_experts=config.n_experts,
            style=config.style,
        )
    experts.to(encoder.device).requires_grad_(config.has_text)
    parity = Target.parity(len(gate.attributes[0].values))
    router = Router(config.router, parity)
    of_training = config.objective, router, config.recipe_line
    return MoESD(encoder, token, experts, gate, unet_experts, *of_training)


def _objectives(
    moesd: MoESD,
    prompts: PromptSet,
    vectors: Float32,
    config: TrainConfig,
    examples: Path | None,
    pipeline: Any,
    teacher: Teacher | None,
) -> list[tuple[Callable[[], Objective], int]]:
    """List the constructors of the objectives, each with its number of steps.

    An objective is constructed when its turn comes, since it reads the weights of that moment.
    """
    table, gate = prompts.table, moesd.gate
    is_training = prompts.is_training & (table["group"] == "neutral").to_numpy()
    truth = true_classes(prompts, gate.bias_score(vectors), neutral_below=gate.skewed_above)
    rows = np.flatnonzero(is_training & np.isin(truth, CLASSES[1:3]))
    attributes = with_cells(moesd.attributes, has_cells=config.cells)
    counterfactuals = Counterfactuals(tuple(chain(*(of.words for of in attributes))))
    skewed, subjects = (table[name].iloc[rows].tolist() for name in ("prompt", "subject"))
    neutral = table["prompt"][is_training].tolist()
    batches: dict[str, Any] = {"batch_size": config.batch_size, "seed": config.seed}

    def read() -> Examples:
        return Examples.read(Path(str(examples)), limit=config.n_examples, seed=config.seed)

    def counterfactual(of: EncoderExperts, *, all_positions: bool = False) -> Objective:
        options: dict[str, Any] = {"emphasis": config.emphasis, "all_positions": all_positions}
        return CounterfactualStates(of, attributes, neutral, counterfactuals, **options)

    def diffusion() -> Objective:
        return DiffusionObjective(moesd, skewed, subjects, read(), pipeline, **batches)

    first: dict[str, Callable[[], Objective]] = {
        "latent": lambda: LatentObjective(moesd, skewed, vectors[rows]),
    }
    second: dict[str, Callable[[], Objective]] = {
        "diffusion": diffusion,
        "noise": lambda: NoiseObjective(moesd, read(), pipeline, **batches),
    }
    first["both"], second["both"] = first["latent"], second["diffusion"]
    phases = [(first, config.latent_steps), (second, config.diffusion_steps)]
    if config.objective != "counterfactual":
        return [(of[config.objective], n) for of, n in phases if config.objective in of]
    found: list[tuple[Callable[[], Objective], int]] = [
        (partial(counterfactual, of, all_positions=all_positions), config.latent_steps)
        for of in moesd.parts
        for all_positions in ((False, True) if leaves_out_positions(of, neutral) else (False,))
    ]
    if teacher is not None:
        people = table["subject"][is_training].tolist()
        n, n_steps = config.taught_batches(len(moesd.experts.names))
        batches |= {"batch_size": n, "checkpointing": config.checkpointing}
        shown = partial(ShownValues, moesd, neutral, people, pipeline, teacher, **batches)
        found.append((shown, n_steps))
    return found
