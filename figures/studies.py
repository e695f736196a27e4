"""How the figures of the studies are made from a run's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from figures.sources import RunFiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    Drawing = tuple[Figure, DataFrame]


def estimators(files: RunFiles) -> Drawing:
    """How firm each estimator's axis is, and how the axes agree."""
    from figures import probing

    data = files.table("directions")
    return probing.estimator_agreement(data), data


def stability(files: RunFiles) -> Drawing:
    """How many pairs, templates and occupations an axis needs."""
    from figures import probing

    data = files.table("stability")
    return probing.axis_stability(data), data


def association(files: RunFiles) -> Drawing:
    """Every measure of association with its interval."""
    from figures import probing

    data = files.table("association")
    return probing.association_measures(data), data


def erasure(files: RunFiles) -> Drawing:
    """What each eraser leaves, and what it keeps."""
    from figures import probing

    data = files.table("erasure")
    return probing.erasers(data), data


def trace(files: RunFiles) -> Drawing:
    """Correlation with the labour shares at every layer and position."""
    from figures import tracing

    data = files.table("trace")
    return tracing.trace_map(data), data


def patching(files: RunFiles) -> Drawing:
    """Effect of patching at every layer and position."""
    from figures import tracing

    data = files.table("patching")
    return tracing.patching_map(data), data


def heads(files: RunFiles) -> Drawing:
    """Each attention head's part in the difference."""
    from figures import tracing

    data = files.table("heads")
    return tracing.head_map(data), data


def prediction(files: RunFiles) -> Drawing:
    """Shares foretold from the text, and seen in the pictures."""
    from figures import probing

    data = files.table("prediction")
    return probing.foretold_shares(data), data
