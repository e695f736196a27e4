"""Example plugin: the norm of the difference between the prompts of each pair, and its figure."""

from dataclasses import dataclass

import numpy as np

from figures.registry import table_figure
from figures.sources import add_source
from probe.io.settings import Settings, setting
from probe.run.files import EMBEDDED
from probe.run.registry import Answer, register
from probe.run.stages.fit import vectors
from probe.run.study import Study


@dataclass(frozen=True)
class LengthsConfig(Settings):
    """How the norm is computed."""

    norm_order: int = setting(2, "Order of the norm.", minimum=1)


@register
class Lengths(Study):
    """Measure how far the two prompts of each pair are apart."""

    name = "lengths"
    about = "the distance between the male and the female prompt of each pair"
    settings = LengthsConfig
    tables = ("latent/lengths.parquet",)
    file = "latent/lengths.json"
    inputs = EMBEDDED

    def compute(self, run):
        """Return the distance of each pair."""
        import pandas as pd

        z, prompts = vectors(run), run.prompts.table
        male, female = run.prompts.pairs()
        order = run.config.lengths.norm_order
        distances = np.linalg.norm(z[male] - z[female], ord=order, axis=1)
        table = pd.DataFrame({"pair": prompts["pair"].to_numpy()[male], "distance": distances})
        mean = float(distances.mean())
        lines = [f"mean distance of {len(table)} pairs: {mean:.3f}"]
        return {"lengths": table}, Answer("\n".join(lines), {"mean": mean, "n": len(table)})


@table_figure(
    "lengths",
    reads=add_source("lengths"),
    caption="Distance between the male and the female prompt of each pair.",
    alt="Histogram of distances.",
)
def lengths(table):
    """Draw a histogram of the distances."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.hist(table["distance"])
    axes.set(xlabel="distance", ylabel="pairs")
    return figure
