"""Figures look as they did: drawn from fixed data, they equal pictures that were looked at.

After a change that is meant, look at the new pictures and keep them:
``python tests/figures/test_reference.py``.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from figures import bias_scores, fairness, gate, tracing
from figures.style import in_style

FOLDER = Path(__file__).parent / "reference"
DPI = 72
TOLERANCE = 3.0
"""Root mean square of the differences, of 255. Another build of the font rasteriser moves edges of
letters by less than a grey level or two in the mean; a label or a point that moves gives more."""
JOBS = ("carpenter", "driver", "cook", "lawyer", "baker", "nurse", "secretary", "cleaner")
SHARES = np.array([0.02, 0.06, 0.4, 0.37, 0.63, 0.88, 0.94, 0.86])


def shares_of(bias_score: np.ndarray) -> pd.DataFrame:
    split = np.where(np.arange(len(JOBS)) % 3 == 1, "test", "train")
    return pd.DataFrame(
        {"subject": JOBS, "share_women": SHARES, "bias_score": bias_score, "split": split}
    )


def bias_score() -> Figure:
    wave = 0.02 * np.sin(np.arange(len(JOBS)))
    return bias_scores.bias_score_against_share(
        shares_of(0.1 - 0.2 * SHARES + wave), interval=(-0.99, -0.8)
    )


def shares() -> Figure:
    rows = [
        {"side": side, "subject": name, "split": split, "n": 50, "target": 0.5}
        | {"share": share, "low": max(0.0, share - 0.1), "high": min(1.0, share + 0.1)}
        for name, split, base in zip(JOBS, shares_of(SHARES)["split"], SHARES, strict=True)
        for side, share in (("base", base), ("moesd", 0.5 + 0.4 * (SHARES[2] - base)))
    ]
    options = {"value": "woman", "other": "man", "chance": 0.06}
    return fairness.subject_shares(pd.DataFrame(rows), **options)


def confusion() -> Figure:
    truth = np.repeat(["explicit", "male-skewed", "female-skewed", "neutral"], [40, 10, 12, 8])
    answer = np.where(np.arange(len(truth)) % 9 == 0, "neutral", truth)
    table = pd.DataFrame({"route_truth": truth, "route_trained": answer})
    return gate.gate_confusion(table, routes={"route_trained": "trained"})


def heads() -> Figure:
    rows = [
        {"layer": layer, "site": "head", "head": head, "measure": kind, "n": 30}
        | {"value": 0.4 * np.cos(layer + 2 * head) + (0.1 if kind == "direct" else 0.0)}
        for layer in (1, 2, 3)
        for head in range(4)
        for kind in ("direct", "patching")
    ]
    return tracing.head_map(pd.DataFrame(rows))


DRAWN: dict[str, tuple[str, Callable[[], Figure]]] = {
    "bias_score": ("paper", bias_score),
    "bias_score-talk": ("talk", bias_score),
    "shares": ("paper", shares),
    "gate_confusion": ("paper", confusion),
    "heads": ("paper", heads),
}


def save(name: str, folder: Path) -> Path:
    style, draw = DRAWN[name]
    path = folder / f"{name}.png"
    with in_style(style):
        draw().savefig(path, dpi=DPI, metadata={"Software": None})
    return path


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_looks_as_its_reference(name, tmp_path):
    drawn = save(name, tmp_path)
    assert compare_images(str(FOLDER / f"{name}.png"), str(drawn), tol=TOLERANCE) is None


def test_a_point_that_moves_is_seen(tmp_path, monkeypatch):
    moved = SHARES.copy()
    moved[4] -= 0.3
    monkeypatch.setattr(f"{__name__}.SHARES", moved)
    drawn = save("bias_score", tmp_path)
    assert "RMS" in compare_images(str(FOLDER / "bias_score.png"), str(drawn), tol=TOLERANCE)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in DRAWN:
        save(each, FOLDER)
