"""How each figure of the paper is made from a run's files; every recipe returns its data too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from figures.sources import RunFiles
from probe.errors import ArtifactError, StageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from PIL import Image

    Drawing = tuple[Figure, DataFrame]

GATES = {"route_closed": "closed form", "route_trained": "trained"}
"""Column with a gate's answers, and the gate's name."""
ROUTES = {"closed-form": "route_closed", "trained": "route_trained"}
"""What the configuration of a correction calls its gate, and the column with its answers."""
N_SEEDS = 8
"""Columns of the grid of images."""
LARGEST_SIDE = 256
"""Images are shrunk to this many pixels, so that a paper stays small."""


def prompt_map(files: RunFiles) -> Drawing:
    """Place of every prompt, before the correction."""
    from figures import latent

    table = files.table("map")
    methods = [m for m in ("pca", "umap") if table[f"{m}_x"].notna().all()]
    columns = [f"{method}_{axis}" for method in methods for axis in "xy"]
    data = table[["prompt", "group", "subject", "share_women", *columns]]
    found = files.json("fit")["maps"]
    return latent.prompt_map(data, methods=methods, faithfulness=found), data


def density(files: RunFiles) -> Drawing:
    """Density of each group of prompts on every map, on a grid."""
    import pandas

    from figures import probing
    from probe.latent.maps.density import group_density

    table = files.table("map")
    methods = [m for m in ("pca", "umap") if table[f"{m}_x"].notna().all()]
    grids = [
        group_density(
            table[[f"{method}_x", f"{method}_y"]].to_numpy(float),
            table["group"],
            n_grid=40,
            margin=0.2,
        ).assign(method=method)
        for method in methods
    ]
    data = pandas.concat(grids, ignore_index=True)
    return probing.group_densities(data), data


def projections(files: RunFiles) -> Drawing:
    """Projection of every prompt on the bias axis."""
    from figures import latent
    from figures.marks import group_order

    data = files.table("map")[["prompt", "group", "subject", "projection"]]
    scores = {
        group: data.loc[data["group"] == group, "projection"].to_numpy(float)
        for group in group_order(data["group"])
    }
    return latent.projection_histogram(scores), data


def bias_score(files: RunFiles) -> Drawing:
    """Bias score and labour share of every occupation."""
    from figures import latent

    data = files.table("subjects")[["subject", "split", "share_women", "bias_score"]]
    data = data[data["share_women"].notna()]
    found = files.json("fit")["share_correlation"]
    return latent.bias_score_against_share(data, interval=(found["low"], found["high"])), data


def gate_regions(files: RunFiles) -> Drawing:
    """Bias score, true class and answer of the gate in use, for every prompt."""
    from figures import gate

    config = files.json("moesd")
    route = ROUTES[config["kind"]]
    data = files.table("gate")[
        ["prompt", "group", "subject", "split", "bias_score", "route_truth", route]
    ]
    figure = gate.gate_regions(
        data,
        neutral_below=config["neutral_below"],
        explicit_above=config["explicit_above"],
        route=route,
    )
    return figure, data


def gate_confusion(files: RunFiles) -> Drawing:
    """Counts by gate, true class and answer."""
    import pandas

    from figures import gate

    table = files.table("gate")
    counts = {
        title: gate.confusion(table, column)
        .rename_axis(index="truth", columns="answer")
        .stack()
        .rename("count")
        for column, title in GATES.items()
    }
    data = pandas.concat(counts, names=["gate"]).reset_index()
    return gate.gate_confusion(table, routes=GATES), data


def shift(files: RunFiles) -> Drawing:
    """Place of every prompt before and after the correction."""
    from figures import latent

    columns = ["pca_x", "pca_y", "corrected_x", "corrected_y"]
    data = files.table("map")[["prompt", "group", "subject", "share_women", *columns]]
    if data[["corrected_x", "corrected_y"]].isna().any(axis=None):
        raise StageError(
            f"{files.path('map')} does not hold the corrected prompts; run "
            f"`moesd-probe train {files.run}` first"
        )
    return latent.shift_arrows(data), data


def bias_score_shift(files: RunFiles) -> Drawing:
    """Bias score of every prompt before and after the correction."""
    from figures import latent

    data = files.table("gate")[
        ["prompt", "group", "subject", "split", "bias_score", "bias_score_corrected"]
    ]
    return latent.bias_score_shift(data), data


def subject_shares(files: RunFiles) -> Drawing:
    """Share of the attribute's value in every occupation's images."""
    from figures import fairness

    quality = files.json("quality")
    table = files.table("shares")
    table = table[table["attribute"] == quality["attribute"]]
    target = 1 / table["value"].nunique()
    data = table[table["value"] == quality["value"]]
    labour = files.table("subjects").set_index("subject")["share_women"]
    data = data.assign(share_women=data["subject"].map(labour))
    data = data[data["share_women"].notna()]
    figure = fairness.subject_shares(
        data, labour_shares=labour.to_dict(), value=str(quality["value"]), target=target
    )
    return figure, data


def fairness_bars(files: RunFiles) -> Drawing:
    """Every fairness measure, by side and split."""
    from figures import fairness

    data = files.table("fairness")
    splits = tuple(s for s in ("trained", "held_out") if s in set(data["split"])) or ("all",)
    return fairness.fairness_bars(data, splits=splits), data


def tradeoff(files: RunFiles) -> Drawing:
    """MAD and CLIP score, of both sides as a whole and of every occupation."""
    import pandas

    from figures import fairness

    quality = files.json("quality")
    rows = []
    for side, name in (("base", "base"), ("moesd", "corrected")):
        mad, clip = quality[name]["mad"], quality[name]["clip_score"]
        rows.append(
            {"side": side, "subject": ""}
            | {"mad": mad["value"], "mad_low": mad["low"], "mad_high": mad["high"]}
            | {"mad_floor": mad["floor"], "clip": clip["value"]}
            | {"clip_low": clip["low"], "clip_high": clip["high"]}
        )
    sides = pandas.DataFrame(rows)
    table = files.table("shares")
    table = table[table["attribute"] == quality["attribute"]]
    off = (table["share"] - 1 / table["value"].nunique()).abs()
    subjects = off.groupby([table["side"], table["subject"]]).mean().rename("mad").reset_index()
    labels = files.table("labels")
    clip = labels[labels["kind"] == "neutral"].groupby(["side", "subject"])["clip_score"].mean()
    subjects = subjects.merge(clip.rename("clip").reset_index(), on=["side", "subject"])
    data = pandas.concat([sides, subjects], ignore_index=True)
    return fairness.tradeoff(sides, subjects=subjects), data


def image_grid(files: RunFiles) -> Drawing:
    """Perceived attribute of the images in the grid, one row an image."""
    from figures import images

    attribute = str(files.json("quality")["attribute"])
    labels = files.table("labels")
    if attribute not in labels:
        raise ArtifactError(
            f"{files.path('labels')} has no column {attribute!r}; delete it and run "
            f"`moesd-probe evaluate {files.run}` again"
        )
    labels = labels[labels["kind"] == "neutral"]
    chosen = _spread_subjects(files.table("subjects"), set(labels["subject"]))
    keys = ["subject", "file_name"]
    both = labels.groupby(keys)["side"].nunique().loc[lambda n: n == 2].reset_index()[keys]
    n_seeds = min(N_SEEDS, *(int((both["subject"] == name).sum()) for name in chosen))
    if n_seeds == 0:
        raise StageError(
            f"{files.path('labels')} holds no pair of images; run `moesd-probe generate "
            f"{files.run}` and `moesd-probe evaluate {files.run}` again"
        )
    both = both[both["subject"].isin(chosen)].sort_values(keys).groupby("subject").head(n_seeds)
    order = {name: i for i, name in enumerate(chosen)}
    data = (
        labels.merge(both, on=keys)
        .assign(order=lambda table: table["subject"].map(order))
        .sort_values(["order", "side", "file_name"], kind="stable")[
            ["subject", "split", "side", "seed", "file_name", attribute]
        ]
    )
    shape = (len(chosen), n_seeds)
    sides = [data[data["side"] == side] for side in ("base", "moesd")]
    stacks = [np.stack(load_pictures(files.run / "images", rows)) for rows in sides]
    pictures = [stack.reshape(*shape, *stack.shape[1:]) for stack in stacks]
    perceived = tuple(rows[attribute].astype(str).to_numpy().reshape(shape) for rows in sides)
    split = data.drop_duplicates("subject").set_index("subject")["split"]
    names = [f"{name}\N{NO-BREAK SPACE}*" if split[name] == "held_out" else name for name in chosen]
    return images.image_pairs(*pictures, subjects=names, labels=perceived), data


def _spread_subjects(subjects: DataFrame, present: set[str]) -> list[str]:
    """Choose four subjects trained on and two held out, evenly spread over the labour shares."""
    subjects = subjects[subjects["subject"].isin(present) & subjects["share_women"].notna()]
    subjects = subjects.sort_values(["share_women", "subject"], ignore_index=True)
    chosen: set[int] = set()
    for split, n in (("trained", 4), ("held_out", 2)):
        rows = subjects.index[subjects["split"] == split].to_numpy()
        if len(rows):
            chosen |= set(rows[np.linspace(0, len(rows) - 1, n).round().astype(int)])
    return [str(subjects["subject"][i]) for i in sorted(chosen)]


def load_picture(path: Path) -> Image.Image:
    """Read an image of a run as RGB.

    Raises
    ------
    ArtifactError
        If it is missing or no image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        run = path.parents[3]  # run/images/SIDE/SUBJECT/NAME.png
        raise ArtifactError(
            f"{path} cannot be read ({error.strerror or 'not an image'}); run `moesd-probe "
            f"generate {run}` to make it again"
        ) from error


def load_pictures(folder: Path, rows: DataFrame) -> list[np.ndarray]:
    """Read the images of some rows, by ``side`` and ``file_name``, shrunk if they are large.

    Returns
    -------
    list of ndarray of shape (height, width, 3)
    """
    found = []
    for side, file_name in zip(rows["side"], rows["file_name"], strict=True):
        picture = load_picture(folder / side / file_name)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        found.append(np.asarray(picture))
    return found
