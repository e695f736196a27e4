"""Which experts there are, where they sit and how wide they are; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from probe.io.settings import at_least, one_of, setting

SIDES = ("text", "unet", "both")
PLACEMENTS = ("all", "down", "mid", "up")
STYLES = ("adapter", "lora")
TOKEN_PLACES = ("subject", "start", "end", "nowhere")
DIRECTIONS = ("toward-female", "toward-male")
"""The two ways in which a prompt is corrected, each with experts of its own."""
BASE = "base"
"""In the U-Net, what both directions share; on the states, the identity, which has no weights."""


@dataclass(frozen=True)
class ExpertConfig:
    """The experts' architecture; a part of the settings of the training."""

    side: str = setting("text", "Where experts sit: text, unet, or both.")
    width: int = setting(32, "Bottleneck of each expert on the text states.")
    unet_width: int = setting(
        0,
        "Bottleneck of each expert in the U-Net; 0 is half its widest block (640 for SD v1.5).",
    )
    n_experts: int = setting(
        3,
        "Experts in the U-Net: 1 for all, 2 one a direction, 3 a shared one too, more by bias "
        "score.",
    )
    placement: str = setting("all", "Blocks of the U-Net with experts: all, down, mid or up.")
    style: str = setting("adapter", "What an expert is: adapter, or lora (low-rank, linear).")
    token_place: str = setting(
        "subject",
        "Where in a prompt the special token stands: before its subject, at its start or end, or "
        "nowhere, which leaves it out.",
    )

    def __post_init__(self) -> None:
        one_of("side", self.side, SIDES)
        one_of("placement", self.placement, PLACEMENTS)
        one_of("style", self.style, STYLES)
        one_of("token_place", self.token_place, TOKEN_PLACES)
        at_least("width", self.width, 1)
        at_least("unet_width", self.unet_width, 0)
        at_least("n_experts", self.n_experts, 1)

    @property
    def has_unet(self) -> bool:
        """Whether experts sit in the U-Net."""
        return self.side != "text"

    @property
    def has_text(self) -> bool:
        """Whether experts sit on the text states."""
        return self.side != "unet"

    @property
    def has_token(self) -> bool:
        """Whether the special token stands in the prompts."""
        return self.token_place != "nowhere"


def expert_names(n_experts: int) -> tuple[str, ...]:
    """Name the experts of the U-Net.

    An even number is shared out to the two directions; an odd one leaves one more, ``base``, that
    pictures of both pass besides their own (a shared expert beside the routed ones). A direction
    with several experts has them by the size of the bias score, the smallest first.

    >>> expert_names(3)
    ('base', 'toward-female', 'toward-male')

    References
    ----------
    Dai et al., *DeepSeekMoE*, ACL 2024, section 3.2 (shared experts). What the third expert of
    MoESD (arXiv 2407.11002) is made of is not public: this is our choice.
    """
    n_levels, has_base = divmod(n_experts, 2)
    names = [BASE] * has_base
    for direction in DIRECTIONS:
        names += [level_name(direction, level, n_levels) for level in range(n_levels)]
    return tuple(names)


def level_name(direction: str, level: int, n_levels: int) -> str:
    """Name one of the experts of a direction; the level is said only where there are several."""
    return direction if n_levels == 1 else f"{direction}-{level + 1}"
