"""Every method that is compared: its name, how it is made, and what of the run it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from probe.images.intervention import Intervention
from probe.io.settings import settings_line
from probe.run.files import DIRECTION, EMBEDDED, MOESD, correction_files
from probe.run.folder import Run

if TYPE_CHECKING:
    from probe.baselines.method import Method
    from probe.moesd.model import MoESD
    from probe.run.compare.material import Bench

BASE = "base"
ORACLE = "explicit-mixing"
"""It knows which prompts are neutral and states the gender in them: no method, but a bound."""


@dataclass(frozen=True)
class Entry:
    """How a method is made on a bench."""

    build: Callable[[Bench], Method]
    made_from: Callable[[Run], str]
    """What of the run it is made from, besides what all methods share."""
    is_trained: bool = True
    """Whether building it is training it; otherwise it was trained before, and not timed."""


def _base(bench: Bench) -> Method:
    """The model as it is."""
    from probe.baselines.method import Method

    return Method(Intervention())


def _baseline(name: str, bench: Bench) -> Method:
    from probe.baselines import BASELINES

    return BASELINES[name](bench.material(name))


def _present(bench: Bench) -> Method:
    """The run's correction, routed as its settings say."""
    return _routed(bench, bench.run, _load(bench))


def _variant(settings: Mapping[str, Any], routing: str, bench: Bench) -> Method:
    """A correction that is trained here, with the settings of the run's but for a few."""
    from probe.run.stages.train import train_correction

    config = bench.run.config.with_settings("train", settings)
    # The run's target curve may ask for a target that this routing cannot meet.
    whole = {"routing": routing, "strength": 1.0, "target": "parity"}
    run = replace(bench.run, config=config.with_settings("generate", whole))
    # No variant changes what a gate is fitted by, so the run's gate is the one it would fit.
    gate = _load(bench).gate
    moesd = train_correction(run, encoder=bench.encoder, pipeline=bench.pipeline, gate=gate)
    return _routed(bench, run, moesd)


def _reweighting(bench: Bench) -> Method:
    """The mixture reweighted at every step, behind the run's gate; nothing else is learned."""
    import numpy as np

    from probe.baselines.method import Method
    from probe.moesd.mixture.reweighting import Reweighting
    from probe.run.routing import counterfactuals_of

    target = np.array([0.5, 0.5])
    return Method(Reweighting(_load(bench), counterfactuals_of(bench.run.lexicon), target))


def _load(bench: Bench) -> MoESD:
    from probe.moesd.model import MoESD

    return MoESD.load(bench.run.folder / MOESD, bench.encoder)


def _routed(bench: Bench, run: Run, moesd: MoESD) -> Method:
    from probe.baselines.method import Method
    from probe.run.routing import intervention

    counted = [moesd.token.vector.numel()] if moesd.token.is_used else []
    if run.config.train.has_text:  # without, its experts are identities that nothing trains
        counted.append(moesd.experts.n_parameters)
    if moesd.unet_experts is not None:
        counted.append(moesd.unet_experts.n_parameters)
    return Method(intervention(run, moesd, bench.pipeline), n_trainable=sum(counted))


def _examples(run: Run) -> str:
    from probe.run.training_examples import examples_made_from

    return examples_made_from(run)


def _files(run: Run) -> str:
    from probe.run.routing import target_line

    files = run.hashes(*correction_files(run.config))
    return f"{files} {run.config.generate.routing} {target_line(run)}"


def _fit(run: Run) -> str:
    return f"{settings_line(run.config.train)} {run.hashes(*EMBEDDED, DIRECTION)}"


def _variants(**settings: Mapping[str, Any]) -> dict[str, Entry]:
    """Entries of variants by name; ``routing`` among the settings is that of ``generate``."""
    return {
        f"moesd-{name}": Entry(
            partial(
                _variant,
                {key: value for key, value in of.items() if key != "routing"},
                of.get("routing", "top1"),
            ),
            _fit,
        )
        for name, of in settings.items()
    }


_OURS: Mapping[str, Entry] = {
    BASE: Entry(_base, lambda run: ""),
    "moesd": Entry(_present, _files, is_trained=False),
    **_variants(
        text={"side": "text", "objective": "both"},
        unet={"side": "unet", "objective": "both"},
        both={"side": "both", "objective": "both"},
        mixture={"side": "text", "objective": "mixture"},
        calibrated={"side": "text", "objective": "counterfactual", "routing": "calibrated"},
        stratified={"side": "text", "objective": "counterfactual", "routing": "stratified"},
    ),
    "reweighting": Entry(_reweighting, _files),
}


def all_methods() -> dict[str, Entry]:
    """Return every method by name: ours, then every baseline that is registered.

    ``moesd-text, -unet, -both``: experts on that side, routing top1; ``-mixture``: likewise,
    trained without pictures; ``-calibrated`` and ``-stratified``: counterfactual experts with that
    routing.
    """
    from probe.baselines import BASELINES

    return {**_OURS, **{name: Entry(partial(_baseline, name), _examples) for name in BASELINES}}
