"""Settings of the correction's training; free of torch, so that the command line can read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from probe.errors import OptionError
from probe.io.settings import at_least, one_of, setting
from probe.moesd.architecture import ExpertConfig
from probe.moesd.loop.config import LoopConfig

OBJECTIVES = ("latent", "diffusion", "both", "counterfactual", "mixture")
_WITHOUT_PICTURES = ("counterfactual", "mixture")
"""Those that learn from the image model's own predictions."""
GateKind = Literal["trained", "closed-form"]
"""Which gate decides."""
GATE_KINDS: tuple[GateKind, ...] = get_args(GateKind)
Reads = Literal["pooled", "bias_score", "words"]
"""What the trained gate reads of a prompt."""
READS: tuple[Reads, ...] = get_args(Reads)
MAX_EXAMPLES = 1500
"""The paper's budget of training examples."""


@dataclass(frozen=True)
class TrainConfig(ExpertConfig, LoopConfig):
    """How the correction is trained."""

    objective: str = setting(
        "both",
        "What is minimised: latent, diffusion, both in turn, counterfactuals (each expert brings "
        "one gender, for generate --routing stratified or measured), or mixture (each evens the "
        "shares that the denoiser says).",
    )
    n_examples: int = setting(
        1400, f"Pictures for the diffusion objective, at most {MAX_EXAMPLES}."
    )
    n_occupations: int = setting(
        0, "Training occupations that are used, spread over the labour shares; all of them if 0."
    )
    guidance_scale: float = setting(
        0.0, "Weight of the prompt in the training pictures; that of `generate` if 0."
    )
    latent_steps: int = setting(100, "Steps of the latent objective.")
    diffusion_steps: int = setting(100, "Steps of the diffusion objective.")
    batch_size: int = setting(48, "Pictures in a step of the diffusion objective.")
    learning_rate: float = setting(1e-3, "Of the first step; it falls to 0 as a cosine does.")
    neutral_band: float = setting(
        0.1, "Half-width of the gate's neutral band, in standard deviations of the bias score."
    )
    gate_kind: GateKind = setting("trained", "Which gate decides: trained or closed-form.")
    gate_reads: Reads = setting(
        "words", "What the trained gate reads: pooled, bias score or words."
    )
    gate_list: bool = setting(
        True, "The trained gate also looks up gendered words and given names."
    )
    false_alarm: float = setting(
        0.2, "Share of the prompts to be left alone for which the gate may open in training."
    )
    abstain_below: float = setting(
        0.0, "Least probability of a skewed class for which the trained gate opens."
    )
    soft: bool = setting(
        False, "Weight an expert's shift by the probability of the prompt's class."
    )
    seed: int = setting(0, "Seed of the training.")

    def __post_init__(self) -> None:
        ExpertConfig.__post_init__(self)
        LoopConfig.__post_init__(self)
        if self.has_unet and self.objective == "latent":
            raise OptionError(
                "the objective 'latent' needs no image model and so cannot train experts in it; "
                "choose the objective 'diffusion' or 'both', or the side 'text'"
            )
        if not (self.has_text or self.has_token) and self.objective == "both":
            raise OptionError(
                "the objective 'both' begins with the latent one, which trains the special token "
                "and experts on the states, and there are neither; choose 'diffusion'"
            )
        if self.has_unet and self.objective in _WITHOUT_PICTURES:
            raise OptionError(
                f"the objective {self.objective!r} trains experts on the states alone; choose the "
                "side 'text'"
            )
        if self.objective in _WITHOUT_PICTURES and self.token_place != "subject":
            raise OptionError(
                f"the objective {self.objective!r} puts each value's word where the token stands; "
                "set token_place to 'subject'"
            )
        if self.patience and self.objective in _WITHOUT_PICTURES:
            raise OptionError(
                f"the objective {self.objective!r} measures no progress on held-out prompts; set "
                "patience to 0"
            )
        one_of("objective", self.objective, OBJECTIVES)
        one_of("gate_kind", self.gate_kind, GATE_KINDS)
        one_of("gate_reads", self.gate_reads, READS)
        for name in ("false_alarm", "abstain_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}; needed a share from 0 to 1")
        if not 2 <= self.n_examples <= MAX_EXAMPLES:
            raise OptionError(f"n_examples is {self.n_examples}; needed 2 to {MAX_EXAMPLES}")
        for name in ("latent_steps", "diffusion_steps", "batch_size"):
            at_least(name, getattr(self, name), 1)
        at_least("n_occupations", self.n_occupations, 0)
        for name in ("learning_rate", "neutral_band", "guidance_scale"):
            at_least(name, getattr(self, name), 0)

    @property
    def needs_pictures(self) -> bool:
        """Whether pictures are trained on."""
        return self.objective in ("diffusion", "both")

    @property
    def needs_image_model(self) -> bool:
        """Whether the image model takes part."""
        return self.objective != "latent"
