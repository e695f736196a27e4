"""Every method that is compared: its name, how it is made, and what of the run it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from probe.experiment.config import settings_line
from probe.experiment.run import Run
from probe.experiment.sending import intervention, target_line, twins_of
from probe.experiment.training import FOLDER, parts
from probe.intervention import Intervention

if TYPE_CHECKING:
    from probe.baselines.method import Method
    from probe.experiment.comparing.bench import Bench
    from probe.moesd.model import MoESD

BASE = "base"


@dataclass(frozen=True)
class Entry:
    """How a method is made on a bench."""

    build: Callable[[Bench], Method]
    reads: Callable[[Run], tuple[str, ...]] = lambda run: ()
    """Files of the run that it is made from, besides the model, the words and the settings."""
    settings: Callable[[Run], str] = lambda run: ""
    """Settings of the run that it follows and others do not."""
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
    """The run's own correction, sent as ``generate`` sends it."""
    from probe.baselines.method import Method

    moesd = _load(bench)
    method = intervention(bench.run, moesd, bench.pipeline)
    return Method(method, n_trainable=_n_trainable(moesd))


def _sampled(bench: Bench) -> Method:
    """Experts that bring one gender each, and pictures sent to them by their seeds."""
    from probe.baselines.method import Method
    from probe.experiment.fitting import read_direction, vectors
    from probe.moesd.training import train_moesd

    run = bench.run
    direction, projection = read_direction(run)
    moesd = train_moesd(
        bench.encoder,
        run.prompts,
        vectors(run),
        direction=direction,
        projection=projection,
        config=replace(run.config.train, objective="twins", side="text"),
        pipeline=bench.pipeline,
        twins=twins_of(run.lexicon),
        progress=run.told("training"),
    )
    settings = {"sending": "by-seed", "strength": 1.0, "target": "parity"}
    by_seed = replace(run, config=run.config.with_settings("generate", settings))
    return Method(intervention(by_seed, moesd, bench.pipeline), n_trainable=_n_trainable(moesd))


def _reweighting(bench: Bench) -> Method:
    """The mixture under the neutral prompt, reweighted at every step; only the gate is learnt."""
    from probe.baselines.method import Method
    from probe.moesd.mixture.reweighting import Reweighting

    twins = twins_of(bench.run.lexicon)
    return Method(Reweighting(_load(bench), twins, np.array([0.5, 0.5])))


def _load(bench: Bench) -> MoESD:
    from probe.moesd.model import MoESD

    return MoESD.load(bench.run.folder / FOLDER, bench.encoder)


def _n_trainable(moesd: MoESD) -> int:
    n_trainable = moesd.experts.n_parameters + moesd.token.vector.numel()
    if moesd.unet_experts is not None:
        n_trainable += moesd.unet_experts.n_parameters
    return n_trainable


def _training(run: Run) -> str:
    return settings_line(run.config.train)


def _sending(run: Run) -> str:
    config = run.config.generate
    return f"{config.sending} {config.strength} {config.target} {target_line(run)}"


METHODS: Mapping[str, Entry] = {
    BASE: Entry(_base),
    "moesd": Entry(_moesd, reads=parts, settings=_sending, is_trained=False),
    "moesd-sampled": Entry(_sampled, settings=_training),
    "reweighting": Entry(_reweighting, reads=parts, is_trained=False),
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
