import numpy as np
import pandas as pd
import pytest

from figures import tracing
from figures.style import EFFECT_COLORS


def cells(measure, values, *, control=0.2):
    """A table of a trace from {(layer, site, position): value}, with bands of 0.1 each way."""
    rows = [(*place, measure, value) for place, value in values.items()]
    table = pd.DataFrame(rows, columns=["layer", "site", "position", "measure", "value"])
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1, control=control, n=40)


@pytest.fixture
def trace():
    return cells(
        "correlation",
        {
            (0, "residual", "end"): 0.0,
            (0, "residual", "start"): 0.0,
            (1, "residual", "start"): -0.05,
            (1, "residual", "end"): -0.6,
            (2, "residual", "start"): 0.1,
            (2, "residual", "end"): -0.9,
            (1, "mlp", "start"): 0.0,
            (1, "mlp", "end"): -0.25,
            (2, "mlp", "start"): 0.0,
            (2, "mlp", "end"): 0.2,
        },
    )


@pytest.fixture
def patching():
    return cells(
        "patching",
        {
            (layer, "residual", position): value
            for layer, row in enumerate([(1.0, 0.0, 1.0), (0.4, 0.5, 1.0), (0.0, 1.0, 1.0)])
            for position, value in zip(("person", "end", "all"), row, strict=True)
        },
        control=0.0,
    )


@pytest.fixture
def heads():
    rng = np.random.default_rng(0)
    rows = [
        (layer, "head", head, kind, rng.normal())
        for kind in ("direct", "patching")
        for layer in (1, 2)
        for head in range(3)
    ]
    rows.append((1, "mlp", -1, "direct", 9.0))
    return pd.DataFrame(rows, columns=["layer", "site", "head", "measure", "value"])


def panels_of(figure):
    return [axes for axes in figure.axes if axes.get_title(loc="left")]


def frames(axes):
    return sorted(patch.get_xy() for patch in axes.patches)


def written(axes):
    return [text.get_text() for text in axes.texts]


def test_every_site_has_a_panel_and_every_cell_its_signed_value(trace):
    residual, mlp = panels_of(tracing.trace_map(trace))
    assert (residual.get_title(loc="left"), mlp.get_title(loc="left")) == (
        "residual stream",
        "MLP output",
    )
    signed = "0.00 0.00 -0.05 -0.60 0.10 -0.90".replace("-", "\N{MINUS SIGN}")
    assert written(residual) == signed.split()
    assert len(written(mlp)) == 4  # there is no MLP before the first layer


def test_the_colours_of_what_has_a_sign_diverge_from_0(trace):
    axes = panels_of(tracing.trace_map(trace))[0]
    mesh = axes.collections[0]
    np.testing.assert_allclose(mesh.get_array(), [[0, 0], [-0.05, -0.6], [0.1, -0.9]])
    assert mesh.get_clim() == (-1.0, 1.0)
    assert mesh.get_cmap() is EFFECT_COLORS


def test_the_first_cell_that_clears_its_control_is_framed(trace):
    residual, mlp = panels_of(tracing.trace_map(trace))
    assert frames(residual) == [(1, 1)]  # -0.5 is beyond -0.2 at layer 1, end
    assert frames(mlp) == []


def test_the_position_that_carries_the_most_is_framed_in_each_layer(patching):
    (axes,) = panels_of(tracing.patching_map(patching))
    assert frames(axes) == [(0, 0), (1, 1), (1, 2)]


def test_heads_have_a_panel_a_kind_on_one_scale_around_zero(heads):
    panels = panels_of(tracing.head_map(heads))
    assert [axes.get_title(loc="left") for axes in panels] == [
        "written by the head",
        "restored by the head",
    ]
    own = heads[heads["site"] == "head"]
    for axes, kind in zip(panels, ("direct", "patching"), strict=True):
        mesh, rows = axes.collections[0], own[own["measure"] == kind]
        np.testing.assert_allclose(mesh.get_array().ravel(), rows["value"])
        low, high = mesh.get_clim()
        assert -low == high == pytest.approx(own["value"].abs().max())
        best = rows.loc[rows["value"].idxmax()]
        assert frames(axes) == [(best["head"], best["layer"] - 1)]
