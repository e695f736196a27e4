"""How the figures of the studies are made: each draws one table of a run as it is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from figures.sources import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    Drawing = tuple[Figure, DataFrame]


def drawn(source: str, family: str, function: str) -> Callable[[RunFiles], Drawing]:
    """Make the recipe that hands a table of `figures.sources.SOURCES` to a function of a family."""

    def recipe(files: RunFiles) -> Drawing:
        data = files.table(source)
        return getattr(import_module(f"figures.{family}"), function)(data), data

    return recipe


estimators = drawn("directions", "probing", "estimator_agreement")
stability = drawn("stability", "probing", "axis_stability")
association = drawn("association", "probing", "association_measures")
erasure = drawn("erasure", "probing", "erasers")


def told_map(files: RunFiles) -> Drawing:
    """Draw the maps with and without the groups, and the held-out prompts placed on both."""
    latent = import_module("figures.latent")
    data, found = files.table("maps"), files.json("maps_found")["figures"]
    kept = {name: of["faithfulness"] for name, of in found.items()}
    return latent.prompt_map(data, methods=list(kept), faithfulness=kept), data


def challenge_confusion(files: RunFiles) -> Drawing:
    """Count the prompts of the challenge by gate, true class and answer."""
    gate = import_module("figures.gate")
    routes = {"route_closed": "closed form", "route_trained": "trained"}
    data = files.table("challenge")
    return gate.gate_confusion(data, routes=routes), data


def challenge_calibration(files: RunFiles) -> Drawing:
    """Draw the reliability of the gate's probabilities beside the ROC."""
    challenge = import_module("figures.challenge")
    bins = files.table("reliability")
    return challenge.reliability_and_roc(bins, files.table("roc")), bins


challenge_categories = drawn("categories", "challenge", "challenge_categories")
levels = drawn("levels", "challenge", "specificity_levels")
level_pictures = drawn("level_figures", "levels", "levels_in_pictures")
mixture = drawn("mixture", "probing", "read_shares")
methods = drawn("methods", "comparing", "methods_tradeoff")
intersections = drawn("cells", "intersections", "cell_shares")
prediction = drawn("prediction", "probing", "foretold_shares")
trace = drawn("trace", "tracing", "trace_map")
patching = drawn("patching", "tracing", "patching_map")
heads = drawn("heads", "tracing", "head_map")
