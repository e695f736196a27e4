"""Every method that is compared: its name, how it is made, and what of the run it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from probe.errors import OptionError
from probe.images.intervention import Intervention
from probe.moesd.router import CALIBRATED
from probe.run.files import correction_files
from probe.run.folder import Run
from probe.run.routing import OWN
from probe.text.attributes import GENDER
from probe.text.checkpoints import text_encoders

if TYPE_CHECKING:
    from probe.baselines.method import Method
    from probe.moesd.model import MoESD
    from probe.run.compare.material import Bench

BASE = "base"
ORACLE = "explicit-mixing"
"""It knows which prompts are neutral and states the gender in them: no method, but a bound."""
RECOMMENDED, PAPER = "moesd-recommended", "moesd-paper"
_SLOTS = ("text_encoder", "text_encoder_2", "text_encoder_3")
_ON_UNET = ("uce", "lora", "fair-diffusion", "reweighting")
"""Methods that change a U-Net which the states of one text encoder condition."""
_OF_ANY_ATTRIBUTE = (
    *(BASE, "moesd", ORACLE, "prompt-intervention", "fair-diffusion"),
    *("leace", "leace-lookup", "fair-pca", "steering", "steering-lookup", "uce", "lora"),
)
"""Methods that correct any attribute, of any number of values, and several at once."""


@dataclass(frozen=True)
class Entry:
    """How a method is made on a bench."""

    build: Callable[[Bench], Method]
    made_from: Callable[[Run], str]
    """What of the run it is made from, besides what all methods share."""
    is_trained: bool = True
    """Whether building it is training it; otherwise it was trained before, and not timed."""
    through: str = ""
    """The text encoder of several through which alone it acts; then it is made only if named."""


def _base(bench: Bench) -> Method:
    from probe.baselines.method import Method

    return Method(Intervention(), words="none")


def _baseline(name: str, bench: Bench) -> Method:
    from probe.baselines import BASELINES

    return BASELINES[name](bench.material(name))


def _variant(recipe: str, *, routing: str = OWN, **settings: Any) -> Entry:
    """A correction of a recipe, with other settings if named, behind the run's gate."""

    def changed(run: Run) -> Run:
        own = {"recipe": recipe, **settings}
        # The target of the run's settings may be one that this routing cannot reach.
        # What calibrated routing does is measured, on a model that it would refuse too.
        whole = {"routing": routing, "strength": 1.0, "target": "parity", "min_explained": 0.0}
        config = run.config.with_settings("train", own).with_settings("generate", whole)
        return replace(run, config=config)

    def build(bench: Bench) -> Method:
        from probe.run.stages.train import train_correction

        run = changed(bench.run)
        everyone = run.config.train.corrects_everyone
        gate = replace(bench.correction.gate, corrects_everyone=everyone)
        open_models = {"encoder": bench.encoder, "others": bench.others, "pipeline": bench.pipeline}
        moesd = train_correction(run, **open_models, gate=gate)
        return _routed(bench, run, moesd)

    def made_from(run: Run) -> str:
        from probe.run.stages.train import Train

        return f"{Train().made_from(changed(run))} {routing}"

    return Entry(build, made_from)


def _reweighting(bench: Bench) -> Method:
    """The mixture reweighted at every step, behind the run's gate; nothing else is learned."""
    import numpy as np

    from probe.baselines.method import Method
    from probe.moesd.mixture.reweighting import Reweighting
    from probe.run.routing import gender_words

    target = np.array([0.5, 0.5])
    words = gender_words(bench.run.lexicon)
    return Method(Reweighting(bench.correction, words, target), words="images")


def _routed(bench: Bench, run: Run, moesd: MoESD) -> Method:
    from probe.baselines.method import Method
    from probe.moesd.experts import n_weights
    from probe.run.images import n_examples
    from probe.run.intervention import intervention
    from probe.run.routing import router_of

    parts = moesd.parts
    counted = [of.token.vector.numel() for of in parts if of.token.is_used]
    if run.config.train.has_text:  # without, its experts are identities that nothing trains
        counted += [n_weights(of.experts) for of in parts]
    if moesd.unet_experts is not None:
        counted.append(n_weights(moesd.unet_experts))
    asks = router_of(run, moesd.router).kind == CALIBRATED
    return Method(
        intervention(run, moesd, bench.pipeline, bench.plan.table["prompt"]),
        words="images" if asks else "training",
        n_trainable=sum(counted),
        n_examples=n_examples(run),
    )


def _alone(slot: str) -> Entry:
    """The run's correction through one text encoder of several."""

    def build(bench: Bench) -> Method:
        method = _routed(bench, bench.run, bench.correction)
        parts = (method.intervention, *method.intervention.others)
        [chosen] = (copy(of) for of in parts if of.source and of.source.encoder.slot == slot)
        chosen.others = ()
        return replace(method, intervention=chosen)

    return Entry(build, lambda run: f"{_files(run)} {slot}", is_trained=False, through=slot)


def _examples(run: Run) -> str:
    from probe.run.images import examples_made_from

    return examples_made_from(run)


def _files(run: Run) -> str:
    from probe.run.intervention import counted_from
    from probe.run.routing import target_line

    files = run.hashes(*correction_files(run.config))
    routed = f"{run.config.generate.routing} {target_line(run)}"
    return " ".join(filter(None, [f"{files} {routed}", counted_from(run)]))


_OURS: Mapping[str, Entry] = {
    BASE: Entry(_base, lambda run: ""),
    "moesd": Entry(
        lambda bench: _routed(bench, bench.run, bench.correction),
        _files,
        is_trained=False,
    ),
    RECOMMENDED: _variant("recommended"),
    PAPER: _variant("paper", encoders="one"),
    "moesd-noise": _variant("recommended", objective="noise", encoders="one"),
    "moesd-paper-teacher": _variant("paper", objective="diffusion", encoders="one"),
    "moesd-calibrated": _variant("recommended", routing="calibrated"),
    "reweighting": Entry(_reweighting, _files),
    **{f"moesd-{slot}": _alone(slot) for slot in _SLOTS},
}


def all_methods() -> dict[str, Entry]:
    """Return every method by name: ours, then every baseline that is registered.

    ``moesd`` is the run's own correction; ``moesd-recommended`` and ``moesd-paper`` are those of
    the recipes. ``-noise`` is the recommended one with the loss of the paper's, and
    ``-paper-teacher`` the paper's with the teacher's loss; ``-calibrated``: the recommended one
    with that routing. ``moesd-text_encoder`` and the like are the run's own through one text
    encoder alone, of a run that corrects all.
    """
    from probe.baselines import BASELINES

    return {**_OURS, **{name: Entry(partial(_baseline, name), _examples) for name in BASELINES}}


def methods_of(run: Run) -> list[str]:
    """Names of the methods that are made where none is named: those that correct as a run does."""
    is_gender = run.config.train.attributes == GENDER.name
    known = {name for name, entry in all_methods().items() if not entry.through}
    return [name for name in all_methods() if name in (known if is_gender else _OF_ANY_ATTRIBUTE)]


def check_method(name: str, run: Run) -> None:
    """Refuse a method that a run's model or correction does not have."""
    from probe.images.pipelines import check_unet

    if (found := run.config.train.attributes) != GENDER.name and name not in _OF_ANY_ATTRIBUTE:
        raise OptionError(
            f"the method {name} corrects gender and this run corrects {found}; give `--only` "
            f"{', '.join(_OF_ANY_ATTRIBUTE[1:])}"
        )
    if name in _ON_UNET:
        instead = "give `--only` moesd, explicit-mixing, leace, steering, fair-pca or debias-vl"
        check_unet(run.model_folder, f"the method {name}", instead)
    slot = all_methods()[name].through
    if slot and (run.config.train.encoders != "all" or slot not in text_encoders(run.model_folder)):
        raise OptionError(
            f"{name} needs a correction of several text encoders, {slot} among them; "
            f"`moesd-probe train {run.folder} --encoders all` makes one"
        )
