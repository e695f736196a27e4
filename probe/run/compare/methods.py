"""Every method that is compared: its name, how it is made, and what of the run it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from probe.images.intervention import Intervention
from probe.moesd.config import DISTILLED
from probe.run.files import MOESD, correction_files
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


@dataclass(frozen=True)
class _Variant:
    """A correction that is trained here, with the settings of the run's but for a few."""

    settings: Mapping[str, Any]
    """Of ``train``."""
    routing: str = "top1"

    def run(self, run: Run) -> Run:
        """Return the run with the settings of the variant."""
        settings = dict(self.settings)
        if settings["objective"] in DISTILLED:  # which have no token and no validation loss
            settings |= {"token_place": "subject", "patience": 0}
        elif settings["side"] == "unet" and not run.config.train.has_token:
            settings["objective"] = "diffusion"  # the latent objective has nothing to train
        # The run's target curve may ask for a target that this routing cannot meet.
        whole = {"routing": self.routing, "strength": 1.0, "target": "parity"}
        config = run.config.with_settings("train", settings).with_settings("generate", whole)
        return replace(run, config=config)

    def build(self, bench: Bench) -> Method:
        """Train it behind the run's gate, which no variant changes."""
        from probe.run.stages.train import train_correction

        run, gate = self.run(bench.run), _load(bench).gate
        moesd = train_correction(run, encoder=bench.encoder, pipeline=bench.pipeline, gate=gate)
        return _routed(bench, run, moesd)

    def made_from(self, run: Run) -> str:
        """Hash of what it is trained from, which is that of the stage ``train``."""
        from probe.run.stages.train import Train

        return f"{Train().made_from(self.run(run))} {self.routing}"


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


def _variants(**variants: _Variant) -> dict[str, Entry]:
    return {f"moesd-{name}": Entry(of.build, of.made_from) for name, of in variants.items()}


_OURS: Mapping[str, Entry] = {
    BASE: Entry(_base, lambda run: ""),
    "moesd": Entry(_present, _files, is_trained=False),
    **_variants(
        text=_Variant({"side": "text", "objective": "both"}),
        unet=_Variant({"side": "unet", "objective": "both"}),
        both=_Variant({"side": "both", "objective": "both"}),
        mixture=_Variant({"side": "text", "objective": "mixture"}),
        calibrated=_Variant({"side": "text", "objective": "counterfactual"}, "calibrated"),
        stratified=_Variant({"side": "text", "objective": "counterfactual"}, "stratified"),
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
