"""Methods that replace weights of the denoiser: Unified Concept Editing and LoRA."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from probe.baselines.method import BASELINES, Material, Method, Trial
from probe.errors import DataError
from probe.images.denoising import encode_images
from probe.images.intervention import Condition, Intervention
from probe.images.models.lookup import image_model
from probe.io.artifacts import hash_parts
from probe.text.attributes import GENDER, cells_of
from probe.text.templates import fill

N_ROUNDS = 8
"""Maximum number of edits, each tried on new images; up to 20 in the published code."""
STEP = 0.2
"""Change of a concept's weights for a share that is off by 1; 0.1 in the published code."""
CLOSE_ENOUGH = 0.2
"""A value whose share of a concept is within this part of an equal one, 0.4 to 0.6 of two, is not
edited."""
ADAPTED = ["to_q", "to_k", "to_v", "to_out.0"]
"""Layers of every attention block that are adapted, as in diffusers' training script."""
_NAME = "default"


class EditedWeights(Intervention):
    """Denoise with other weights, for every prompt and for the unconditional prediction.

    ``weights``: name of a parameter of the ``unet`` -> its replacement.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._weights = {name: weights[name].detach() for name in sorted(weights)}
        parts = (of.float().cpu().numpy() for of in self._weights.values())
        self._signature = hash_parts(*self._weights, *parts)

    def signature(self, condition: Condition) -> str:
        """Return the hash of the weights."""
        return self._signature

    @contextmanager
    def denoising(self, pipeline: Any, conditions: Sequence[Condition]) -> Iterator[None]:
        """Insert the weights, and restore the pipeline's own afterwards, bit for bit."""
        unet = pipeline.unet
        original = {name: unet.get_parameter(name).data for name in self._weights}
        try:
            for name, weight in self._weights.items():
                unet.get_parameter(name).data = weight.to(original[name])
            yield
        finally:
            for name, data in original.items():
                unet.get_parameter(name).data = data


def edit_projection(
    weight: torch.Tensor,
    contexts: torch.Tensor,
    values: torch.Tensor,
    kept: torch.Tensor,
    *,
    damping: float = 0.5,
    preserve: float = 0.1,
) -> torch.Tensor:
    """Edit a projection so that it maps contexts to new values, and other states as before.

    ``(d W + sum_i v_i c_i^T + p sum_j W k_j k_j^T) (d I + sum_i c_i c_i^T + p sum_j k_j k_j^T)^-1``

    with W the weight, (n_out, n_features), d its ``damping``, c the states to be mapped to the new
    values v ((n, n_features) and (n, n_out); ``contexts @ weight.T`` changes nothing), k the states
    to be mapped as before, and p the weight to ``preserve`` them.

    Gandikota, Orgad, Belinkov, Materzyńska, Bau, *Unified Concept Editing in Diffusion Models*,
    WACV 2024, equation 7; the weights are those of the published code.
    """
    w, c, v, k = (of.double() for of in (weight, contexts, values, kept))
    regular = damping * torch.eye(w.shape[1], dtype=w.dtype, device=w.device) + preserve * k.T @ k
    edited: torch.Tensor = torch.linalg.solve(regular + c.T @ c, w @ regular + v.T @ c, left=False)
    return edited.to(weight)


@BASELINES.register("uce")
def uce(material: Material) -> Method:
    """Shift the values of each training occupation towards what its images lack.

    The value of an occupation's state c becomes ``W c + sum_k w_k |W c| u_k``, u_k being the unit
    value of the same prompt with gender k stated, or with the value or cell k of other attributes.
    The weights w_k start at 0; each round adds
    `STEP` times the missing share (and subtracts half of `STEP` for a gender that is too frequent),
    until every training occupation is balanced. The round that is fairest on the validation
    occupations is kept.

    Gandikota et al. (see `edit_projection`), section 4.2, and their code. All key and value
    projections are edited. Concepts are the training occupations; gendered words and objects are
    preserved, all of them for training.
    """
    table, lexicon = material.prompts.table, material.lexicon
    subjects = list(dict.fromkeys(table.loc[table["group"] == "neutral", "subject"]))
    of, adjectives = cells_of(material.attributes), lexicon.adjectives[0]
    words = (adjectives.female, adjectives.male) if of.name == GENDER.name else of.words

    def states(names: Sequence[str]) -> torch.Tensor:
        prompts = [fill(lexicon.templates["train"].neutral[0], subject=name) for name in names]
        return material.encoder.states(prompts).to(material.pipeline.unet.device)

    concepts = states(subjects)
    stated = [states([f"{word} {name}" for name in subjects]) for word in words]
    people = [word for pair in lexicon.pairs for word in (pair.female, pair.male)]
    kept = states([*people, *lexicon.objects["train"]]).flatten(0, 1)
    projections = {
        name: parameter.detach()
        for name, parameter in material.pipeline.unet.named_parameters()
        if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))
    }
    weights = torch.zeros(len(subjects), len(words))
    rounds: list[tuple[float, EditedWeights]] = []
    for _ in range(N_ROUNDS + 1):  # the first is the base model
        method = EditedWeights(
            {
                name: edit_projection(
                    of, concepts.flatten(0, 1), _values(of, concepts, stated, weights), kept
                )
                for name, of in projections.items()
            }
        )
        trial = material.try_out(method, subjects)
        step = _step(trial, subjects)
        if set(material.validation) != set(subjects):
            trial = material.try_out(method, material.validation)
        rounds.append((trial.mad, method))
        if not step.any():
            break
        weights += step
    best = min(range(len(rounds)), key=lambda row: rounds[row][0])
    n_weights = sum(of.numel() for of in projections.values())
    return Method(
        rounds[best][1], words="training", n_trainable=n_weights, chosen={"n_rounds": best}
    )


@BASELINES.register("lora")
def lora(
    material: Material,
    *,
    rank: int = 4,
    n_steps: int = 100,
    batch_size: int = 48,
    learning_rate: float = 1e-3,
) -> Method:
    """Train PEFT's LoRA on the examples with the ordinary denoising loss, then merge it.

    Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022; the recipe of
    diffusers' ``train_text_to_image_lora.py`` (rank 4, all attention layers, AdamW), on images that
    are balanced by value and have neutral prompts. Shen et al., *Finetuning Text-to-Image
    Diffusion Models for Fairness*, ICLR 2024, use such a LoRA as a baseline. Steps and batch size
    are the defaults of the diffusion objective; the learning rate is our choice.
    """
    model, unet = image_model(material.pipeline), material.pipeline.unet
    schedule = model.schedule
    generator = torch.Generator().manual_seed(material.seed)
    batches, prompts = material.examples()
    clean = encode_images(model, batches)
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    states = material.encoder.states(list(row_of)).to(unet.device)
    rows = torch.tensor([row_of[prompt] for prompt in prompts])
    unet.requires_grad_(False)
    with _adapted(unet, rank, material.seed) as layers:
        parameters = [weight for weight in unet.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate)
        for step in range(n_steps):
            picked = torch.randint(len(clean), (batch_size,), generator=generator)
            times = torch.randint(schedule.n_times, (batch_size,), generator=generator)
            times = times.to(clean.device)
            noise = torch.randn(batch_size, *clean.shape[1:], generator=generator).to(clean)
            noised = schedule.add_noise(clean[picked], noise, times)
            predicted = unet(noised, times, states[rows[picked]]).sample
            target = schedule.target(clean[picked], noise, times)
            loss = functional.mse_loss(predicted, target)
            if not torch.isfinite(loss):
                raise DataError(
                    f"the loss of the LoRA became {loss.item()} at step {step}; lower the learning "
                    f"rate (it is {learning_rate})"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        merged = {
            f"{name}.weight": layer.get_base_layer().weight.detach()
            + layer.get_delta_weight(_NAME).detach()
            for name, layer in layers.items()
        }
    return Method(
        EditedWeights(merged),
        words="none",
        n_trainable=sum(of.numel() for of in parameters),
        n_examples=len(prompts),
    )


def _values(
    weight: torch.Tensor,
    concepts: torch.Tensor,  # (n_concepts, n_tokens, n_features)
    stated: Sequence[torch.Tensor],  # of each value
    weights: torch.Tensor,  # (n_concepts, n_values)
) -> torch.Tensor:
    original = concepts @ weight.T  # (n_concepts, n_tokens, n_out)
    length = original.flatten(1).norm(dim=1)[:, None, None]
    moved = original
    for column, states in enumerate(stated):
        value = states @ weight.T
        unit = value / value.flatten(1).norm(dim=1)[:, None, None]
        moved = moved + weights[:, column, None, None].to(original) * length * unit
    return moved.flatten(0, 1)


def _step(trial: Trial, subjects: Sequence[str]) -> torch.Tensor:
    """Change of each concept's weights, shape (n_concepts, n_values)."""
    shares = dict(zip(trial.subjects, trial.shares, strict=True))
    equal = 1 / trial.shares.shape[1]
    lacking = equal - np.array([shares[name] for name in subjects])
    step = np.where(lacking > 0, STEP * lacking, -STEP / 2)
    step[np.abs(lacking) <= CLOSE_ENOUGH * equal + 1e-12] = 0.0
    return torch.from_numpy(step).float()


@contextmanager
def _adapted(unet: Any, rank: int, seed: int) -> Iterator[dict[str, Any]]:
    """Insert LoRA layers into a U-Net, by name, and remove them afterwards."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=ADAPTED
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(config, adapter_name=_NAME)
    try:
        yield {name: of for name, of in unet.named_modules() if isinstance(of, LoraLayer)}
    finally:
        unet.unload_lora()
