"""Measures of the states at one place of an encoder, by occupation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probe.arrays import Double, Matrix
from probe.latent.directions import as_embeddings
from probe.latent.labels import group_means
from probe.latent.tracing.bands import band
from probe.latent.tracing.design import Design
from probe.latent.tracing.probes import held_out_scores, left_out_axes

_ROUNDING = 1e-5  # of the states' size: float32 sums of a layer, taken in another order
_TIE = 1e-6  # counterfactuals with the same state score 0 but for rounding, which depends on labels


@dataclass(frozen=True, eq=False)
class Cell:
    """Figures of one place, by occupation."""

    correct: Double
    """Shape (n_subjects,): share of explicit prompts whose gender the probe predicts."""
    control: Double
    """Shape (n_subjects,): the same for the control tasks, on average."""
    products: Double
    """Shape (n_subjects, n_subjects): inner products of the occupations' mean differences, over
    four times the states' variance; 0 on the diagonal, which noise alone makes positive."""
    place: Double | None
    """Shape (n_subjects,): mean place of the neutral prompts on the axis of the other occupations;
    None where they were not recorded."""


def measure_cell(explicit: Matrix, neutral: Matrix | None, design: Design) -> Cell:
    """Measure the states of the explicit and neutral prompts of a design at one place."""
    n, (male, female) = design.n_subjects, design.pairs
    X = as_embeddings(explicit)
    spread = _spread(X)
    if spread == 0.0:
        place = None if neutral is None else np.zeros(n)
        return Cell(np.full(n, 0.5), np.full(n, 0.5), np.zeros((n, n)), place)
    scores = held_out_scores(X, design.labels, design.explicit_groups)
    answers = np.sign(np.where(np.abs(scores) > _TIE, scores * design.labels, 0.0))
    correct = group_means(answers / 2 + 0.5, design.explicit_groups)
    differences = group_means(X[male] - X[female], design.explicit_groups[male])
    differences[np.linalg.norm(differences, axis=1) <= _ROUNDING * _size(X)] = 0.0
    products = differences @ differences.T / (2 * spread) ** 2
    np.fill_diagonal(products, 0.0)
    axes = left_out_axes(differences)  # (n_subjects, n_features)
    place = None
    if neutral is not None:
        Z = as_embeddings(neutral, n_features=X.shape[1])
        means = group_means(Z - Z.mean(axis=0), design.neutral_groups)
        place = (means * axes).sum(axis=1) if _spread(Z) else np.zeros(n)
    return Cell(
        correct=correct[:, 0],
        control=correct[:, 1:].mean(axis=1),
        products=products,
        place=place,
    )


def tabulate(cells: Sequence[Cell], design: Design, draws: Double) -> pd.DataFrame:
    """Put the figures of cells in a table: one row a cell and measure, indexed by the cell."""
    correct = np.stack([cell.correct for cell in cells])  # (n_cells, n_subjects)
    control = np.stack([cell.control for cell in cells])
    nothing = np.zeros(len(cells))
    placed = [index for index, cell in enumerate(cells) if cell.place is not None]
    parts = [
        _mean_rows("accuracy", correct, control.mean(axis=1), draws),
        _mean_rows("selectivity", correct - control, nothing, draws),
        _gap_rows(cells, draws),
    ]
    if placed:
        places = np.stack([place for cell in cells if (place := cell.place) is not None])
        parts.append(_correlation_rows(places, design, draws).set_axis(placed))
    return pd.concat(parts).assign(n=design.n_subjects)


def _spread(X: Double) -> float:
    """Root mean square distance from the mean; 0 where that is only rounding."""
    spread = float(np.sqrt(((X - X.mean(axis=0)) ** 2).sum(axis=1).mean()))
    return spread if spread > _ROUNDING * _size(X) else 0.0


def _size(X: Double) -> float:
    """Root mean square length."""
    return float(np.sqrt((X**2).sum(axis=1).mean()))


def _mean_rows(measure: str, values: Double, control: Double, draws: Double) -> pd.DataFrame:
    value = values.mean(axis=1)
    n = draws.shape[1]
    low, high = band(value, draws @ values.T / n, n=n)
    if measure == "accuracy":
        low, high = low.clip(0, 1), high.clip(0, 1)
    return pd.DataFrame(
        {"measure": measure, "value": value, "low": low, "high": high, "control": control}
    )


def _gap_rows(cells: Sequence[Cell], draws: Double) -> pd.DataFrame:
    """Lengths of the mean difference, from products of different occupations only.

    The square is a U-statistic, free of the length that noise alone has. Its draws choose the axis
    anew, which a mean over left-out places would not: that band is too narrow by the square root
    of 2 where the axis is all noise.
    """
    n = draws.shape[1]
    squares = np.array([cell.products.sum() for cell in cells]) / (n * (n - 1))
    drawn = [((draws @ cell.products) * draws).sum(axis=1) / (n * (n - 1)) for cell in cells]
    low, high = band(squares, np.stack(drawn, axis=1), n=n)
    value, low, high = (np.sign(x) * np.sqrt(np.abs(x)) for x in (squares, low, high))
    return pd.DataFrame(
        {"measure": "gap", "value": value, "low": low, "high": high, "control": 0.0}
    )


def _correlation_rows(places: Double, design: Design, draws: Double) -> pd.DataFrame:
    """Bands of Fisher's z, which keeps them within -1 and 1."""
    x = places - places.mean(axis=1, keepdims=True)
    y = design.share_women - design.share_women.mean()
    n = draws.shape[1]
    value = _correlation((x @ y) / n, (x**2).mean(axis=1), (y**2).mean())
    mean_x, mean_y = draws @ x.T / n, (draws @ y / n)[:, None]
    drawn = _correlation(
        draws @ (x * y).T / n - mean_x * mean_y,
        draws @ (x**2).T / n - mean_x**2,
        (draws @ y**2 / n)[:, None] - mean_y**2,
    )
    shuffled = (design.shuffled - design.share_women.mean()) @ x.T / n
    by_chance = np.abs(_correlation(shuffled, (x**2).mean(axis=1), (y**2).mean())).mean(axis=0)
    low, high = band(np.arctanh(value), np.arctanh(drawn), n=n)
    return pd.DataFrame(
        {
            "measure": "correlation",
            "value": value,
            "low": np.tanh(low),
            "high": np.tanh(high),
            "control": by_chance,
        }
    )


def _correlation(covariance: Double, variance_x: Double, variance_y: Double) -> Double:
    """Pearson's r, 0 where either does not vary; a hair within -1 and 1, so that z is finite."""
    scale = np.sqrt(np.maximum(variance_x * variance_y, 0.0))
    r = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    result: Double = r.clip(-1 + 1e-12, 1 - 1e-12)
    return result
