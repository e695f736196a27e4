"""Which expert corrects each image: the router that the settings of a run ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from probe.errors import DataError, OptionError
from probe.io.files import hash_file
from probe.io.lines import nearest
from probe.moesd.router import Router
from probe.moesd.targets import Target
from probe.run.files import MOESD
from probe.run.folder import Run
from probe.text.attributes import GENDER, Attribute, cells_of
from probe.text.concepts import load_attributes
from probe.text.languages import refuse_other_languages

if TYPE_CHECKING:
    from probe.moesd.mixture.counterfactuals import Counterfactuals
    from probe.text.lexicon import Lexicon

OWN = "default"
"""The setting ``routing`` that leaves the choice to the correction."""


def router_of(run: Run, own: Router | None = None) -> Router:
    """Make the router of the settings ``routing``, ``strength`` and ``target``.

    ``own`` is the router saved with the correction; without it, the default of the run's objective
    takes its place. One that the run's experts cannot serve is refused. It knows no counted images;
    see `probe.run.intervention.router_with_counts`.
    """
    config, train = run.config.generate, run.config.train
    kind = config.routing
    if kind == OWN:
        kind = own.kind if own is not None else train.router
    attributes = attributes_of(run)
    measured = config.measured_guidance()
    router = Router(kind, target_of(run), config.strength, measured, config.min_explained)
    router.check(train.objective, has_unet=train.has_unet)
    router.check_attributes([len(of.values) for of in attributes])
    return router


def router_in_use(run: Run) -> Router:
    """Return the router that the images of a trained run are made with."""
    from probe.io.artifacts import read_json

    saved, _ = read_json(run.folder / MOESD / "config.json", kind="moesd")
    return router_of(run, Router.from_config(saved))


def target_of(run: Run) -> Target:
    """Read what the setting ``target`` asks for, by subject: shares of the first attribute.

    A table may also hold those of the cells of all attributes; it may name only subjects that the
    run has.
    """
    name, words = run.config.generate.target, run.config.evaluate
    attributes = attributes_of(run)
    first, cells = attributes[0], tuple(cells_of(attributes).values)
    if name == "parity":
        return Target.parity(len(first.values))
    if first.name != GENDER.name:
        if not names_table(name):
            raise OptionError(
                f"target is {name}, a share of women, and {first.name} is corrected; needed parity "
                f"or a table with the values {', '.join(first.values)}"
            )
        return _target_table(run, name, tuple(first.values), cells)
    if name == "labour":
        jobs = run.lexicon.occupations
        by_subject = {job.name: np.array([job.share_women, 1 - job.share_women]) for job in jobs}
        return Target(np.array([0.5, 0.5]), by_subject)
    if names_table(name):
        return _target_table(run, name, (words.female, words.male), cells)
    share = float(name)
    if not 0 <= share <= 1:
        raise OptionError(f"target is {share:g}; needed a number from 0 to 1")
    return Target(np.array([share, 1 - share]))


def _target_table(run: Run, name: str, *values: Sequence[str]) -> Target:
    target = Target.read(run.path(name), *values)
    _check_subjects(target, name, run.lexicon)
    return target


def names_table(target: str) -> bool:
    """Tell whether a target names a table of shares, not a known one or a number."""
    try:
        float(target)
    except ValueError:
        return target not in ("parity", "labour")
    return False


def target_line(run: Run) -> str:
    """What the target's file says, to be hashed with the settings; empty if it has none."""
    target = run.config.generate.target
    return hash_file(run.path(target)) if names_table(target) else ""


def attributes_of(run: Run) -> tuple[Attribute, ...]:
    """Read the attributes that a run corrects; gender has the words of the lexicon."""
    female, male = run.lexicon.stated
    gender = replace(GENDER, values={"female": (female,), "male": (male,)})
    found = load_attributes(run.config.train.attributes)
    if any(of.name != GENDER.name for of in found):
        refuse_other_languages(run.lexicon, f"attributes {run.config.train.attributes}")
    return tuple(gender if of.name == GENDER.name else of for of in found)


def gender_words(lexicon: Lexicon) -> Counterfactuals:
    """Take the words that say each gender from a lexicon; see `Lexicon.stated`."""
    from probe.moesd.mixture.counterfactuals import Counterfactuals

    return Counterfactuals(lexicon.stated)


def _check_subjects(target: Target, name: str, lexicon: Lexicon) -> None:
    known = [job.name for job in lexicon.occupations]
    lower = {one.lower() for one in known}
    if unknown := [one for one in target.by_subject if one.lower() not in lower]:
        raise DataError(
            f"the target {name} names the subject {unknown[0]!r}{nearest(unknown[0], known)}, "
            f"which is no occupation of this run ({len(unknown)} in all); correct the name, or "
            "delete the line"
        )
