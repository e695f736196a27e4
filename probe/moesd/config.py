"""Training settings of the correction; this module imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from probe.errors import OptionError
from probe.io.settings import PRECISIONS, Settings, one_of, seed_setting, setting
from probe.moesd.router import MINIMAL, SERVED
from probe.text.concepts import load_attributes

TOKEN_PLACES = ("subject", "start", "end", "nowhere")
OBJECTIVES = tuple(SERVED)
TEXT_ONLY = ("latent", "counterfactual")
"""Objectives that need no image model."""
GateKind = Literal["trained", "closed-form"]
GATE_KINDS: tuple[GateKind, ...] = get_args(GateKind)
Reads = Literal["pooled", "bias_score", "words"]
READS: tuple[Reads, ...] = get_args(Reads)
IMAGES_OF_EACH = 4
"""Images of each expert in a step of the teaching; our choice."""
MAX_EXAMPLES = 1500
"""The paper's budget of training images."""
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "recommended": {},
    "paper": {
        "side": "unet",
        "unet_width": 0,
        "n_experts": 3,
        "style": "adapter",
        "token_place": "subject",
        "objective": "noise",
        "diffusion_steps": 300,
    },
}
"""Settings of each recipe; those that only another one names have their defaults."""


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of the training: experts, special token, loop, objective and gate."""

    recipe: str = setting(
        "recommended",
        "Recipe: recommended or paper. As an option it sets side, objective and others that are "
        "not given too (docs/training.md).",
        choices=tuple(RECIPES),
    )
    examples: str = setting(
        "",
        "Folder of images and captions to train on, copied into RUN; the model's own images if "
        "empty.",
        names_file=bool,
    )
    attributes: str = setting(
        "gender",
        "What is corrected: gender, age, skin_tone or perceived_race, or several with commas "
        "between (docs/attributes.md).",
        is_later=True,
    )
    keep: str = setting(
        "",
        "Other attributes that images should show as those of the base model do, with commas "
        "between: a classifier teaches the experts to hold them. If none is named, it holds all "
        "that it knows where it teaches anyway: not those of gender (docs/attributes.md).",
        is_later=True,
    )
    cells: bool = setting(
        True,
        "Of several attributes, an expert for each cell, such as dark-skinned women, beside one "
        "for each value; without it, the experts of a cell's values are added.",
        is_later=True,
    )
    side: str = setting(
        "text",
        "Where experts are inserted: text, unet (the denoiser, a transformer too), or both.",
        choices=("text", "unet", "both"),
    )
    width: int = setting(32, "Bottleneck width of each expert on the text states.", minimum=1)
    unet_width: int = setting(
        0,
        "Bottleneck width of each expert in the denoiser; 0: three are 5.6 % of it (640 for SD "
        "v1.5).",
        minimum=0,
    )
    n_experts: int = setting(
        3,
        "Experts in the denoiser: 1 shared, 2 one per direction, 3 both.",
        minimum=1,
        maximum=3,
    )
    style: str = setting(
        "adapter",
        "Form of an expert: adapter, or lora (low-rank, linear).",
        choices=("adapter", "lora"),
    )
    encoders: str = setting(
        "one",
        "Text encoders that are corrected: one, the run's, or all of the model, each with a token "
        "and experts of its own; a new run of a model with several has all.",
        choices=("one", "all"),
        is_later=True,
    )
    token_place: str = setting(
        "subject",
        "Position of the special token: before the subject, start, end, or nowhere.",
        choices=TOKEN_PLACES,
    )
    precision: str = setting(
        "fp32",
        "Arithmetic of the forward pass: fp32, bf16 or fp16.",
        choices=PRECISIONS,
    )
    accumulate: int = setting(
        1, "Batches per step (gradient accumulation), divided among the processes.", minimum=1
    )
    checkpointing: bool = setting(
        False, "Gradient checkpointing of the denoiser: less memory, more time."
    )
    objective: str = setting(
        "counterfactual",
        "Training objective: counterfactual (each expert produces one gender, without an image "
        "model and for every routing but top1), latent, diffusion, both in turn, or noise "
        "(the paper's, with the token).",
        choices=OBJECTIVES,
    )
    n_examples: int = setting(
        1400,
        f"Training images of the objectives diffusion and noise, at most {MAX_EXAMPLES}.",
        minimum=2,
        maximum=MAX_EXAMPLES,
    )
    classifier: str = setting(
        "",
        "Image classifier (folder or hub id) that selects training images; the model's own first "
        "if empty, or else the one that scores.",
    )
    n_occupations: int = setting(
        0, "Number of training occupations, spread over the labour shares; 0: all.", minimum=0
    )
    guidance_scale: float = setting(
        0.0, "Guidance scale of the training images; 0: that of `generate`.", minimum=0
    )
    emphasis: float = setting(
        1.5,
        "How far experts of the objective counterfactual go, in multiples of what the word of a "
        "gender changes; above 1, since image models do not follow that word in all images. "
        "Attributes of more than two values, and cells, take 1.",
        minimum=0,
    )
    shown_images: int = setting(
        600,
        "Images of each expert of an attribute of more than two values, or with keep, by which a "
        "classifier teaches it to show its value and the occupation; of several attributes, an "
        "equal part of them for each (docs/attributes.md). 0: experts go as far as their words.",
        minimum=0,
        is_later=True,
    )
    measured_images: int = setting(
        6,
        "Images of each expert for each training occupation, by which the draws of an attribute of "
        "more than two values, or of the cells of several, are set; they show occupations for "
        "validation if there are enough (docs/attributes.md). 0: its target's shares.",
        minimum=0,
        is_later=True,
    )
    latent_steps: int = setting(100, "Steps on the text states.", minimum=1)
    diffusion_steps: int = setting(
        100, "Steps on images or on the denoiser's predictions.", minimum=1
    )
    batch_size: int = setting(48, "Images per step.", minimum=1)
    learning_rate: float = setting(
        1e-3, "Initial learning rate; it follows a cosine to 0.", minimum=0
    )
    neutral_band: float = setting(
        0.1,
        "Half-width of the gate's neutral band, in standard deviations of the bias score.",
        minimum=0,
    )
    gate_kind: GateKind = setting(
        "trained", "Gate that decides: trained or closed-form.", choices=GATE_KINDS
    )
    gate_reads: Reads = setting(
        "words", "Input of the trained gate: pooled, bias_score or words.", choices=READS
    )
    gate_list: bool = setting(
        True, "Whether the trained gate also looks up gendered words and given names."
    )
    false_alarm: float = setting(
        0.2,
        "Largest share of explicit and neutral training prompts that open the gate.",
        minimum=0,
        maximum=1,
    )
    reads_validation: bool = setting(
        True,
        "Whether prompts about nouns for validation are used once choices are made: by the trained "
        "gate, and for the images that the draws of experts are set by. `sweep`, which compares "
        "trainings by them, goes without (docs/splits.md).",
        is_later=True,
    )
    seed: int = seed_setting("Random seed of the training.")

    def __post_init__(self) -> None:
        super().__post_init__()
        name = self.objective
        if self.has_unet and name in TEXT_ONLY:
            raise OptionError(
                f"the objective {name!r} needs no image model and so cannot train experts in it; "
                "choose the objective 'diffusion' or 'both', or the side 'text'"
            )
        if not (self.has_text or self.has_token) and name == "both":
            raise OptionError(
                "the objective 'both' starts with the latent one, which trains the special token "
                "and the experts on the text states, and there are neither; choose 'diffusion'"
            )
        if name == "counterfactual" and self.token_place != "subject":
            raise OptionError(
                f"the objective {name!r} replaces the special token by each value's word; set "
                "token_place to 'subject', or choose the objective 'both'"
            )

        if self.encoders == "all" and name != "counterfactual":
            raise OptionError(
                f"encoders is 'all', which the objective {name!r} cannot train; set encoders to "
                "'one', or choose the objective 'counterfactual'"
            )

        if self.keep:
            kept = {of.name for of in load_attributes(self.keep)}
            if both := kept & {of.name for of in load_attributes(self.attributes)}:
                raise OptionError(f"keep and attributes both name {min(both)}; leave it out of one")
            if name != "counterfactual" or not self.shown_images:
                raise OptionError(
                    f"keep is {self.keep!r}, which needs the objective counterfactual and "
                    "shown_images; set both, or leave keep empty"
                )

        if self.attributes != "gender":
            load_attributes(self.attributes)
            if name != "counterfactual" or self.gate_kind != "trained":
                raise OptionError(
                    f"attributes is {self.attributes!r}, which needs the objective counterfactual "
                    "and the gate_kind trained; set both, or attributes to gender"
                )

    @classmethod
    def completed(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the settings of the recipe that values name; settings among them win."""
        if (name := values.get("recipe")) is None:
            return values
        one_of("recipe", name, tuple(RECIPES))
        of_any = {each for recipe in RECIPES.values() for each in recipe}
        defaults = {item.name: item.default for item in fields(cls) if item.name in of_any}
        return {**defaults, **RECIPES[name], **values}

    @property
    def recipe_line(self) -> str:
        """The recipe, with every setting of it that has another value."""
        of_recipe = self.completed({"recipe": self.recipe})
        own = {name: getattr(self, name) for name in of_recipe}
        other = [f"{name} = {own[name]!r}" for name in own if own[name] != of_recipe[name]]
        return " with ".join([self.recipe, *filter(None, [", ".join(other)])])

    @property
    def final_splits(self) -> tuple[str, ...]:
        """Splits of the nouns that a training reads once choices are made."""
        return ("train", "validation") if self.reads_validation else ("train",)

    @property
    def corrects_everyone(self) -> bool:
        """Whether the gate opens for every person: no expert serves a prompt as a whole."""
        return "top1" not in SERVED[self.objective]

    @property
    def has_many_values(self) -> bool:
        """Whether several attributes are corrected, or one of more than two values."""
        return [len(of.values) for of in load_attributes(self.attributes)] != [2]

    @property
    def needs_classifier(self) -> bool:
        """Whether a classifier looks at images of the experts: with `keep`, or more than gender."""
        return self.has_many_values or self.keep != ""

    @property
    def is_taught(self) -> bool:
        """Whether a classifier is to teach the experts to show their values."""
        return self.shown_images > 0 and self.needs_classifier

    @property
    def is_measured(self) -> bool:
        """Whether a classifier is to say what images of each expert show."""
        return self.measured_images > 0 and self.needs_classifier

    @property
    def router(self) -> str:
        """The router that the correction is saved with."""
        return MINIMAL if self.needs_classifier else SERVED[self.objective][0]

    def taught_batches(self, n_experts: int) -> tuple[int, int]:
        """Return the images of a step in which a classifier teaches, and the number of steps."""
        n_images = self.shown_images * n_experts / len(load_attributes(self.attributes))
        batch_size = min(self.batch_size, IMAGES_OF_EACH * n_experts)
        return batch_size, math.ceil(n_images / (batch_size * self.accumulate))

    @property
    def has_unet(self) -> bool:
        """Whether the U-Net has experts."""
        return self.side != "text"

    @property
    def has_text(self) -> bool:
        """Whether the text states have experts."""
        return self.side != "unet"

    @property
    def has_token(self) -> bool:
        """Whether the special token is inserted into prompts."""
        return self.token_place != "nowhere"

    @property
    def needs_pictures(self) -> bool:
        """Whether training images are needed, and with them the image model."""
        return self.objective not in TEXT_ONLY
