"""Every method that is compared: its name, how it is made, and what of the run it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from probe.experiment.run import Run
from probe.experiment.training import FOLDER, parts
from probe.intervention import Intervention

if TYPE_CHECKING:
    from probe.baselines.method import Method
    from probe.experiment.comparing.bench import Bench

BASE = "base"


@dataclass(frozen=True)
class Entry:
    """How a method is made on a bench."""

    build: Callable[[Bench], Method]
    reads: Callable[[Run], tuple[str, ...]] = lambda run: ()
    """Files of the run that it is made from, besides the model, the words and the settings."""
    is_trained: bool = True
    """Whether building it is training it; otherwise it was trained before, and not timed."""


def _base(bench: Bench) -> Method:
    """The model as it is."""
    from probe.baselines.method import Method

    return Method(Intervention())


def _baseline(name: str, bench: Bench) -> Method:
    from probe.baselines import BASELINES

    return BASELINES[name](bench.material(name))


def _moesd(bench: Bench) -> Method:
    """The run's own correction, as ``generate`` uses it."""
    from probe.baselines.method import Method
    from probe.moesd.model import MoESD

    moesd = MoESD.load(bench.run.folder / FOLDER, bench.encoder)
    n_trainable = moesd.experts.n_parameters + moesd.token.vector.numel()
    if moesd.unet_experts is not None:
        n_trainable += moesd.unet_experts.n_parameters
    return Method(moesd.intervention(), n_trainable=n_trainable)


METHODS: Mapping[str, Entry] = {
    BASE: Entry(_base),
    "moesd": Entry(_moesd, reads=parts, is_trained=False),
    **{
        name: Entry(partial(_baseline, name))
        for name in (
            "prompt-intervention",
            "explicit-mixing",
            "fair-diffusion",
            "uce",
            "debias-vl",
            "fair-pca",
            "leace",
            "leace-lookup",
            "steering",
            "steering-lookup",
            "lora",
        )
    },
}
"""Names of `probe.baselines.BASELINES`, known without importing it, and MoESD's own."""
