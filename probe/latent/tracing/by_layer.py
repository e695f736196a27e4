"""Bias by layer and by token: where it appears, and which token carries it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probe.latent.tracing.bands import occupation_draws
from probe.latent.tracing.cells import measure_cell, tabulate
from probe.latent.tracing.design import Design, make_design
from probe.stats.notation import bracketed, number
from probe.stats.resampling import BOOTSTRAP, Resampling

if TYPE_CHECKING:
    from probe.text.encoder import TextEncoder
    from probe.text.prompts import PromptSet
    from probe.text.recording import Recording

MEASURES = ("accuracy", "selectivity", "gap", "correlation")
COLUMNS = ("layer", "site", "position", "measure", "value", "low", "high", "control", "n")


@dataclass(frozen=True)
class Appearance:
    """The first place at which a measure exceeds its control."""

    measure: str
    site: str
    layer: int
    """0 is what enters the first layer."""
    position: str
    value: float
    low: float
    high: float
    control: float
    n: int
    """Number of occupations."""

    def sentence(self) -> str:
        """Return the finding in one line."""
        return (
            f"{self.measure} first exceeds its control at layer {self.layer} ({self.site}),"
            f" position {self.position}: {bracketed(self.value, self.low, self.high)} "
            f"against {number(self.control)}, {self.n} occupations"
        )


def trace(
    encoder: TextEncoder,
    prompts: PromptSet,
    *,
    sites: Sequence[str] = ("residual", "attention", "mlp"),
    positions: Sequence[str] = ("start", "person", "subject", "end"),
    resampling: Resampling = BOOTSTRAP,
    batch_size: int = 256,
) -> pd.DataFrame:
    """Measure the bias at every layer and position of an encoder.

    At each cell, with states x and the cell's own axis (the unit mean of its pair differences):

    - ``accuracy``: share of explicit prompts whose gender is predicted by a linear probe that was
      fitted without any prompt of their occupation. Its control is the mean accuracy of the same
      probe on the control tasks: the two words of some pairs (man and woman) swap their labels,
      so that the labels depend on words but not on gender.
    - ``selectivity``: accuracy minus its control; 0 means that the probe predicts words only.
    - ``gap``: male minus female mean on that axis (the length of the mean difference, without what
      noise adds to a length), over twice the root mean square distance of the states from their
      mean. 0 means no gap, 1 that the states differ in gender only. Its control is 0.
    - ``correlation``: Pearson's r of the neutral prompts' mean place on the axis of the other
      occupations with the share of women; negative where the states follow the labour market. Its
      control is the mean of ``|r|`` when the shares are permuted at random.

    Where the states of all prompts are the same, as at the start of a causal encoder, the accuracy
    is 1/2 and the rest 0.

    Parameters
    ----------
    encoder : TextEncoder
    prompts : PromptSet
        Male and female prompts in pairs, and neutral ones.
    sites, positions, batch_size
        As for `probe.text.recording.record`; ``"person"`` is of explicit prompts only.
    resampling : Resampling

    Returns
    -------
    DataFrame of `COLUMNS`
        A row for each cell and measure. ``low`` and ``high`` are 95 % bands over all cells of a
        measure together; ``n`` counts occupations.

    Raises
    ------
    DataError
        If there are no pairs, no neutral prompts, fewer than 3 occupations, or fewer than 2 pairs
        of words (there is then no control task).

    References
    ----------
    Hewitt and Liang, *Designing and Interpreting Probes with Control Tasks*, EMNLP 2019.
    """
    from probe.text.recording import record

    explicit, neutral = prompts.select(group=["male", "female"]), prompts.select(group="neutral")
    design = make_design(explicit, neutral, seed=resampling.seed)
    record_at = partial(record, encoder, sites=sites, batch_size=batch_size)
    of_neutral = [name for name in positions if name not in ("person", "between")]
    return trace_recordings(
        record_at(explicit, positions=positions),
        record_at(neutral, positions=of_neutral),
        design,
        resampling=resampling,
    )


def trace_recordings(
    explicit: Recording,
    neutral: Recording,
    design: Design,
    *,
    resampling: Resampling = BOOTSTRAP,
) -> pd.DataFrame:
    """Measure the bias in recorded states of the prompts of the design; see `trace`.

    A position that only the explicit prompts have gets no correlation.
    """
    places = [
        (layer, site, position)
        for site, layers in explicit.layers.items()
        for layer in layers
        for position in explicit.positions
    ]
    cells = [
        measure_cell(
            explicit.at(site, layer, position),
            neutral.at(site, layer, position) if position in neutral.positions else None,
            design,
        )
        for layer, site, position in places
    ]
    draws = occupation_draws(design.n_subjects, resampling=resampling)
    frame = tabulate(cells, design, draws)
    where = pd.DataFrame(places, columns=["layer", "site", "position"])
    return where.join(frame)[list(COLUMNS)].reset_index(drop=True)


def where_it_appears(
    table: pd.DataFrame, *, measure: str = "correlation", site: str = "residual"
) -> Appearance | None:
    """Find the first layer at which a measure's band exceeds its control.

    Within that layer, the position whose band exceeds it most; None where no cell does.

    Parameters
    ----------
    table : DataFrame of `COLUMNS`
        As from `trace`, or from `probe.latent.tracing.patching.patch_states`.
    measure : str, default="correlation"
        Which of its measures. The control of ``"accuracy"`` has a spread of its own, which only
        the band of ``"selectivity"`` counts.
    site : str, default="residual"
        Site of the states.
    """
    rows = table[(table["measure"] == measure) & (table["site"] == site)]
    if rows.empty:
        raise ValueError(f"the table has no {measure!r} at site {site!r}")
    beyond = clearance(rows)
    if not (beyond > 0).any():
        return None
    rows = rows.assign(beyond=beyond)[beyond > 0]
    first = rows[rows["layer"] == rows["layer"].min()]
    fields = [field.name for field in dataclasses.fields(Appearance)]
    (best,) = first.loc[[first["beyond"].idxmax()], fields].to_dict("records")
    return Appearance(**best)


def clearance(table: pd.DataFrame) -> pd.Series:
    """Return by how much each row's band exceeds its control; negative where it includes it.

    A control of a correlation is a size, so that a band may also lie below its negative.
    """
    above = table["low"] - table["control"]
    below = -table["high"] - table["control"]
    return above.where(table["measure"] != "correlation", np.maximum(above, below))
