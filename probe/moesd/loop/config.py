"""How the training loop runs; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from probe.errors import OptionError
from probe.io.settings import at_least, one_of, setting

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class LoopConfig:
    """What is no part of the method but of the machine; a part of the settings of the training."""

    precision: str = setting("fp32", "Arithmetic of the forward pass: fp32, bf16 or fp16.")
    accumulate: int = setting(
        1, "Batches that make one step; they are shared out to the processes."
    )
    checkpointing: bool = setting(
        False, "Whether the U-Net computes again what the gradient needs: less memory, more time."
    )
    ema: float = setting(0.0, "Decay of the average of the weights that is kept; 0 keeps the last.")
    patience: int = setting(
        0, "Checks without progress on every fifth training occupation, left out for it; 0 is none."
    )

    def __post_init__(self) -> None:
        one_of("precision", self.precision, PRECISIONS)
        at_least("accumulate", self.accumulate, 1)
        at_least("patience", self.patience, 0)
        if not 0 <= self.ema < 1:
            raise OptionError(f"ema is {self.ema}; needed at least 0 and less than 1")
